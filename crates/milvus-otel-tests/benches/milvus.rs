//! The cost of tracing on a real Milvus (`cost`), and the speed of the client beside pymilvus (`pymilvus`).
//!
//! `cargo bench -p milvus-otel-tests --bench milvus`, with `-- cost` or `-- pymilvus` for one of the two. `--rounds N` sets the
//! number of rounds of `pymilvus`, each of which takes some ten seconds on a quiet machine.
//!
//! `cost`: the server traces every call, as in the tutorial, so traced and untraced calls differ only in the client's
//! work. The cost of the server's spans is measured with calls that the server is told not to trace. Each operation is
//! done in the three ways in turn, in every order equally often. A cost is the median of the differences within a turn,
//! with its 95 % interval by ranks; turns are made until that is narrow. Exporting goes on beside it and slows every way
//! alike. Fails unless the whole interval of the client's cost is below 3 %.
//!
//! `pymilvus`: a server that doesn't trace, and clients that take turns. Fails unless this client is as many times as
//! fast as [`LEAST`] asks for. Rows and searches are compared one call after the other, and with several at once.

use milvus_otel::client::ConsistencyLevel;
use milvus_otel::{GrpcTraceLayer, MilvusClient};
use milvus_otel_tests::embedded::Milvus;
use milvus_otel_tests::pymilvus::{self, VERSIONS};
use milvus_otel_tests::receiver::Receiver;
use opentelemetry::Context;
use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry::trace::{FutureExt, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const DIMENSION: usize = 128;
const BATCH: usize = 20;

/// The numbers of batches and of searches that are in flight, if not one.
const BATCHES_AT_ONCE: usize = 4;
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(120);

/// In how many turns an operation is measured at least and at most, and how wide its interval may be, in percent.
const TURNS: (usize, usize) = (600, 6_000);
const NARROW: f64 = 2.0;

/// The most that tracing may add to a client's call, in percent.
const MOST: f64 = 3.0;

const WAYS: [&str; 3] = ["server silent", "untraced", "traced"];
const SILENT: usize = 0;
const UNTRACED: usize = 1;
const TRACED: usize = 2;

/// In which orders the ways take their turns.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
    [0, 2, 1],
    [2, 0, 1],
    [1, 0, 2],
];

fn main() -> ExitCode {
    let (only, rounds) = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let wants = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let runtime = Runtime::new().expect("there are threads");
    let cheap = !wants("cost") || unless_skipped(cost(&runtime));
    let fast = !wants("pymilvus") || unless_skipped(beside_pymilvus(&runtime, rounds));
    if cheap && fast {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The part that is asked for, and the number of rounds.
fn options() -> Result<(Option<String>, usize), String> {
    let (mut only, mut rounds) = (None, ROUNDS);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--rounds" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                rounds = number
                    .filter(|number| *number > 0)
                    .ok_or("`--rounds` needs a number")?;
            }
            "cost" | "pymilvus" => only = Some(argument),
            // Cargo adds it.
            "--bench" => {}
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    Ok((only, rounds))
}

fn unless_skipped(outcome: Result<bool, String>) -> bool {
    outcome.unwrap_or_else(|why| {
        println!("skipped: {why}");
        true
    })
}

/// Measures what tracing adds. Whether that is little enough.
fn cost(runtime: &Runtime) -> Result<bool, String> {
    let receiver = Receiver::sink();
    let server = runtime.block_on(Milvus::start(tracing_to(&receiver)))?;
    Ok(runtime.block_on(cost_on(&server, &receiver)))
}

/// What the tutorial has the server's settings say.
fn tracing_to(receiver: &Receiver) -> serde_json::Value {
    json!({
        "trace.exporter": "otlp",
        "trace.sampleFraction": 1,
        "trace.otlp.endpoint": receiver.endpoint().trim_start_matches("http://"),
        "trace.otlp.secure": "false",
    })
}

async fn cost_on(server: &Milvus, receiver: &Receiver) -> bool {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(receiver.endpoint())
        .build()
        .expect("an address");
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .build();
    let layers = [
        // Makes no span, and passes the caller's context on.
        GrpcTraceLayer::new().with_tracer_provider(&NoopTracerProvider::new()),
        GrpcTraceLayer::new().with_filter(|_| false),
        GrpcTraceLayer::new().with_tracer_provider(&provider),
    ];
    let mut clients = Vec::new();
    for layer in layers {
        clients.push(
            MilvusClient::builder(server.uri())
                .layer(layer)
                .connect()
                .await
                .expect("it is up"),
        );
    }
    let clients = &clients;
    make(&clients[0], "bench").await;
    // All know the schema before the first turn.
    for client in clients {
        client
            .search("bench", [vector(0)])
            .await
            .expect("it can be searched");
    }
    let version = clients[0].get_server_version().await.expect("it is up");
    println!("Milvus {version}, which traces and exports; {DIMENSION} dimensions\n");

    let insert = async |which: usize, index| {
        let rows: Vec<_> = (0..BATCH).map(|row| row_of(index * BATCH + row)).collect();
        let call = clients[which]
            .insert("bench", rows)
            .into_future()
            .with_context(caller(which, index));
        let start = Instant::now();
        call.await.expect("rows fit");
        start.elapsed()
    };
    let inserts = report(&format!("insert of {BATCH} rows"), &turns(insert).await);
    settle(&clients[0], "bench").await;
    let search = async |which: usize, index| {
        let search = clients[which].search("bench", [vector(index)]).limit(10);
        let search = search.consistency_level(ConsistencyLevel::Eventually);
        let call = search.into_future().with_context(caller(which, index));
        let start = Instant::now();
        call.await.expect("it can be searched");
        start.elapsed()
    };
    let searches = report("search, top 10", &turns(search).await);
    tokio::task::spawn_blocking(move || drop(provider))
        .await
        .expect("no panic");
    inserts && searches
}

async fn make(client: &MilvusClient, collection: &str) {
    client
        .create_collection(collection, DIMENSION)
        .await
        .expect("it can be made");
    client
        .wait_for_load(collection, PATIENCE)
        .await
        .expect("it can be loaded");
}

/// Waits until everything that was written can be found.
async fn settle(client: &MilvusClient, collection: &str) {
    let search = client
        .search(collection, [vector(0)])
        .consistency_level(ConsistencyLevel::Strong);
    search.await.expect("it can be searched");
}

fn row_of(id: usize) -> serde_json::Value {
    json!({ "id": id, "vector": vector(id), "color": "red" })
}

fn vector(id: usize) -> Vec<f32> {
    (0..DIMENSION)
        .map(|axis| ((id * 31 + axis * 7) as f32).sin())
        .collect()
}

/// A context of someone who wants to see the call, except where the server is to be silent.
fn caller(which: usize, index: usize) -> Context {
    let (trace, span) = (
        TraceId::from(index as u128 + 1),
        SpanId::from(index as u64 + 1),
    );
    let flags = TraceFlags::SAMPLED.with_sampled(which != SILENT);
    let caller = SpanContext::new(trace, span, flags, true, Default::default());
    Context::new().with_remote_span_context(caller)
}

/// Milliseconds of each turn, in the order of [`WAYS`].
async fn turns(work: impl AsyncFn(usize, usize) -> Duration) -> Vec<[f64; 3]> {
    let (least, most) = TURNS;
    let mut all = Vec::with_capacity(most);
    while all.len() < most {
        let turn = all.len();
        let mut times = [0.0; 3];
        for (place, which) in ORDERS[turn % ORDERS.len()].into_iter().enumerate() {
            times[which] = work(which, turn * 3 + place).await.as_secs_f64() * 1e3;
        }
        all.push(times);
        let is_look = all.len() >= least && all.len().is_multiple_of(300);
        if is_look && Added::of(&all, UNTRACED, TRACED).is_narrow() {
            break;
        }
    }
    all
}

/// What one way adds to another, in percent.
struct Added {
    low: f64,
    median: f64,
    high: f64,
}

impl Added {
    fn of(turns: &[[f64; 3]], from: usize, to: usize) -> Self {
        let base = at(&sorted(turns.iter().map(|turn| turn[from])), 0.5);
        let differences = sorted(turns.iter().map(|turn| turn[to] - turn[from]));
        // By the binomial distribution.
        let margin = 0.98 / (turns.len() as f64).sqrt();
        let share = |rank| at(&differences, rank) / base * 100.0;
        Self {
            low: share(0.5 - margin),
            median: share(0.5),
            high: share(0.5 + margin),
        }
    }

    fn is_narrow(&self) -> bool {
        self.high - self.low < NARROW
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        write!(f, "{median:+.2} % (95 %: {low:+.2} to {high:+.2} %)")
    }
}

/// Prints what tracing adds. Whether that is little enough.
fn report(what: &str, turns: &[[f64; 3]]) -> bool {
    println!("{what}, {} turns", turns.len());
    for (which, way) in WAYS.iter().enumerate() {
        let times = sorted(turns.iter().map(|turn| turn[which]));
        let (median, p99) = (at(&times, 0.5), at(&times, 0.99));
        println!("  {way:<13} median {median:.3} ms, p99 {p99:.3} ms");
    }
    let client = Added::of(turns, UNTRACED, TRACED);
    let verdict = match &client {
        added if added.high < MOST => "which is below",
        added if added.low >= MOST => "which is not below",
        _ => "which may or may not be below",
    };
    println!("  tracing the client adds        {client}, {verdict} {MOST} %");
    println!(
        "  the server's own spans add     {}",
        Added::of(turns, SILENT, UNTRACED)
    );
    println!(
        "  both together add              {}",
        Added::of(turns, SILENT, TRACED)
    );
    client.high < MOST
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// A second: rows in batches of 1,000, one after the other and [`BATCHES_AT_ONCE`]; searches, one after the other and [`AT_ONCE`].
type Rates = [f64; 4];

const RATES: [&str; 4] = [
    "rows",
    "rows, 4 at once",
    "searches",
    "searches, 16 at once",
];

/// The least that this client does of what the fastest pymilvus does, where there is a target.
const LEAST: [f64; 4] = [2.5, 0.0, 0.0, 2.0];

const ROUNDS: usize = 5;
const ROWS: usize = 20_000;
const QUERIES: usize = 400;

/// The same rows and searches by this client and by each pymilvus in turn, every time into a collection of its own, on a
/// server that doesn't trace. Whether this client is as much faster as it should be.
fn beside_pymilvus(runtime: &Runtime, rounds_asked: usize) -> Result<bool, String> {
    let server = runtime.block_on(Milvus::start(json!({})))?;
    let pythons = VERSIONS.map(pymilvus::installed);
    let pythons = pythons.into_iter().collect::<Result<Vec<_>, _>>()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pymilvus_rates.py");
    let numbers = [ROWS, QUERIES, DIMENSION, BATCHES_AT_ONCE, AT_ONCE];
    let numbers = numbers.map(|number| number.to_string());
    let uri = server.uri();
    let arguments: Vec<&str> = std::iter::once(&uri)
        .chain(&numbers)
        .map(String::as_str)
        .collect();
    let theirs = |python: &Path| -> Rates {
        let rates: Vec<f64> = pymilvus::run(python, &script, &arguments)
            .split_whitespace()
            .map(|rate| rate.parse().expect("a rate"))
            .collect();
        rates.try_into().expect("four rates")
    };
    let ours = || runtime.block_on(rates(&server));
    let name = |which: usize| match which {
        0 => "milvus-otel".to_owned(),
        _ => format!("pymilvus {}", VERSIONS[which - 1]),
    };
    let mut rounds = vec![Vec::new(); 1 + pythons.len()];
    for round in 0..rounds_asked {
        for place in 0..rounds.len() {
            let which = (round + place) % rounds.len();
            let start = Instant::now();
            let rates = which
                .checked_sub(1)
                .map_or_else(ours, |which| theirs(&pythons[which]));
            rounds[which].push(rates);
            let seconds = start.elapsed().as_secs_f64();
            let rates = rates.map(|rate| format!("{rate:.0}")).join(" ");
            eprintln!(
                "round {} of {rounds_asked}, {}: {rates} a second, took {seconds:.0} s",
                round + 1,
                name(which)
            );
        }
    }
    println!(
        "\na second, medians of {rounds_asked} rounds, and what this client does of each pymilvus in the same round"
    );
    println!(
        "  {:<16} {}",
        "",
        RATES.map(|rate| format!("{rate:>22}")).join(" ")
    );
    let median = |numbers: &mut dyn Iterator<Item = f64>| at(&sorted(numbers), 0.5);
    let mut is_fast = true;
    for which in 0..rounds.len() {
        let name = name(which);
        let cells = (0..RATES.len()).map(|rate| {
            let number = median(&mut rounds[which].iter().map(|round| round[rate]));
            let ratios = rounds[0].iter().zip(&rounds[which]);
            let ratio = median(&mut ratios.map(|(ours, theirs)| ours[rate] / theirs[rate]));
            is_fast &= which == 0 || ratio >= LEAST[rate];
            format!("{:>22}", format!("{number:.0} ({ratio:.2} times)"))
        });
        println!("  {name:<16} {}", cells.collect::<Vec<_>>().join(" "));
    }
    println!(
        "  at least {LEAST:?} times: {}",
        if is_fast { "yes" } else { "no" }
    );
    Ok(is_fast)
}

async fn rates(server: &Milvus) -> Rates {
    let client = MilvusClient::connect(server.uri()).await.expect("it is up");
    make(&client, "ours").await;
    let data: Vec<_> = (0..ROWS).map(row_of).collect();
    let insert = async |at_once| {
        let start = Instant::now();
        let batches = client.insert_batches("ours", &data).batch_rows(1_000);
        batches.at_once(at_once).await.expect("rows fit");
        let rows = ROWS as f64 / start.elapsed().as_secs_f64();
        settle(&client, "ours").await;
        rows
    };
    let inserted = [insert(1).await, insert(BATCHES_AT_ONCE).await];
    let wanted: Vec<_> = (0..QUERIES).map(vector).collect();
    let start = Instant::now();
    for query in wanted {
        let search = client
            .search("ours", [query])
            .limit(10)
            .consistency_level(ConsistencyLevel::Eventually);
        search.await.expect("it can be searched");
    }
    let searched = QUERIES as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for query in (task..QUERIES).step_by(AT_ONCE) {
                    let search = client.search_one("ours", vector(query));
                    let search = search.consistency_level(ConsistencyLevel::Eventually);
                    search.await.expect("it can be searched");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let at_once = QUERIES as f64 / start.elapsed().as_secs_f64();
    client
        .drop_collection("ours")
        .await
        .expect("it can be dropped");
    [inserted[0], inserted[1], searched, at_once]
}
