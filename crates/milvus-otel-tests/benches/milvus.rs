//! What tracing costs on a real Milvus, and how its client does beside pymilvus.
//!
//! `cargo bench -p milvus-otel-tests --bench milvus`. Each operation is done traced and untraced in pairs, whose first
//! is now the one and now the other; the cost is the median difference of the pairs. Exits with 1 where that is 3 %
//! or more of the untraced median.

use milvus_otel::client::ConsistencyLevel;
use milvus_otel::{GrpcTraceLayer, MilvusClient};
use milvus_otel_tests::embedded::Milvus;
use milvus_otel_tests::receiver::Receiver;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const DIMENSION: usize = 128;
const BATCH: usize = 100;
const INSERTS: usize = 200;
const SEARCHES: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// The most that tracing may add, of an untraced call.
const MOST: f64 = 0.03;

#[tokio::main]
async fn main() -> ExitCode {
    let server = match Milvus::start(json!({})).await {
        Ok(server) => server,
        Err(why) => {
            println!("skipped: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let receiver = Receiver::start();
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(receiver.endpoint())
        .build()
        .expect("an address");
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .build();
    let traced = GrpcTraceLayer::new().with_tracer_provider(&provider);
    let untraced = GrpcTraceLayer::new().with_filter(|_| false);
    let connect = async |layer| {
        MilvusClient::builder(server.uri())
            .layer(layer)
            .connect()
            .await
            .expect("it is up")
    };
    let clients = [connect(traced).await, connect(untraced).await];

    clients[0]
        .create_collection("bench", DIMENSION)
        .await
        .expect("it can be made");
    clients[0]
        .wait_for_load("bench", PATIENCE)
        .await
        .expect("it can be loaded");
    // Both know the schema before the first pair.
    clients[1]
        .search("bench", [vector(0)])
        .await
        .expect("it can be searched");

    let inserts = pairs(INSERTS, async |which, index| {
        let rows = (0..BATCH).map(|row| row_of(index * BATCH + row));
        clients[which]
            .insert("bench", rows)
            .await
            .expect("rows fit");
    })
    .await;
    let searches = pairs(SEARCHES, async |which, index| {
        let search = clients[which].search("bench", [vector(index)]).limit(10);
        search
            .consistency_level(ConsistencyLevel::Eventually)
            .await
            .expect("it can be searched");
    })
    .await;

    println!(
        "Milvus {}, {DIMENSION} dimensions\n",
        clients[0].get_server_version().await.expect("it is up")
    );
    let cheap =
        report(&format!("insert of {BATCH} rows"), &inserts) & report("search, top 10", &searches);
    beside_pymilvus(&clients[0], &server.uri()).await;
    if cheap {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn row_of(id: usize) -> serde_json::Value {
    json!({ "id": id, "vector": vector(id), "color": "red" })
}

fn vector(id: usize) -> Vec<f32> {
    (0..DIMENSION)
        .map(|axis| ((id * 31 + axis * 7) as f32).sin())
        .collect()
}

/// Milliseconds of each pair: traced, untraced.
async fn pairs(count: usize, work: impl AsyncFn(usize, usize)) -> Vec<[f64; 2]> {
    let mut all = Vec::with_capacity(count);
    for pair in 0..count {
        let mut times = [0.0; 2];
        for place in 0..2 {
            let which = (pair + place) % 2;
            let start = Instant::now();
            work(which, pair * 2 + place).await;
            times[which] = start.elapsed().as_secs_f64() * 1e3;
        }
        all.push(times);
    }
    all
}

/// Prints what tracing adds. Whether that is little enough.
fn report(what: &str, pairs: &[[f64; 2]]) -> bool {
    let [traced, untraced] = [0, 1].map(|which| sorted(pairs.iter().map(|pair| pair[which])));
    let differences = sorted(pairs.iter().map(|[traced, untraced]| traced - untraced));
    let share = |milliseconds: f64| milliseconds / at(&untraced, 0.5) * 100.0;
    // The ranks between which the median lies with 95 %, by the binomial distribution.
    let margin = 0.98 / (pairs.len() as f64).sqrt();
    println!("{what}, {} pairs", pairs.len());
    for (name, times) in [("traced", &traced), ("untraced", &untraced)] {
        println!(
            "  {name:<9} median {:.3} ms, p99 {:.3} ms",
            at(times, 0.5),
            at(times, 0.99)
        );
    }
    println!(
        "  tracing adds {:+.2} % (95 %: {:+.2} to {:+.2} %)",
        share(at(&differences, 0.5)),
        share(at(&differences, 0.5 - margin)),
        share(at(&differences, 0.5 + margin)),
    );
    share(at(&differences, 0.5)) < MOST * 100.0
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// The same rows and searches by this client and by pymilvus, one after the other, each into a collection of its own.
async fn beside_pymilvus(client: &MilvusClient, uri: &str) {
    const ROWS: usize = 20_000;
    const QUERIES: usize = 500;
    client
        .create_collection("ours", DIMENSION)
        .await
        .expect("it can be made");
    client
        .wait_for_load("ours", PATIENCE)
        .await
        .expect("it can be loaded");
    let rows: Vec<_> = (0..ROWS).map(row_of).collect();
    let start = Instant::now();
    for batch in rows.chunks(1_000) {
        client.insert("ours", batch).await.expect("rows fit");
    }
    let inserted = ROWS as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    for query in 0..QUERIES {
        let search = client
            .search("ours", [vector(query)])
            .limit(10)
            .consistency_level(ConsistencyLevel::Eventually);
        search.await.expect("it can be searched");
    }
    let searched = QUERIES as f64 / start.elapsed().as_secs_f64();
    println!("\nrows inserted in batches of 1,000, and searches one after the other, a second");
    println!("  milvus-otel {inserted:>9.0} {searched:>9.0}");

    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let default = folder.join("../../target/milvus-otel/examples/py/venv/bin/python");
    let python = env::var_os("PYMILVUS_PYTHON").map_or(default, PathBuf::from);
    if !python.exists() {
        println!(
            "  pymilvus: skipped: there is none in `{}`; `cargo xtask prepare` installs it",
            python.display()
        );
        return;
    }
    let mut command = Command::new(python);
    command.arg(folder.join("benches/pymilvus_rates.py")).args([
        uri,
        &ROWS.to_string(),
        &QUERIES.to_string(),
    ]);
    let output =
        tokio::task::spawn_blocking(move || command.arg(DIMENSION.to_string()).output()).await;
    let output = output.expect("no panic").expect("Python can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    print!("  pymilvus    {}", String::from_utf8_lossy(&output.stdout));
}
