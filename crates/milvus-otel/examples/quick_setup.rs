//! Milvus in ten calls, traced: the calls and the server's work end up in one trace.

use anyhow::{Result, ensure};
use milvus_otel::client::{ConsistencyLevel, MetricType};
use milvus_otel::{MilvusClient, Telemetry};
use opentelemetry::trace::{FutureExt, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use serde_json::json;
use std::env;
use std::process::ExitCode;
use std::time::Duration;
use tracing::info;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const DIMENSION: usize = 5;
const COLORS: [&str; 3] = ["red", "green", "blue"];
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    // The environment wins over these two defaults.
    let telemetry = Telemetry::builder()
        .default_service_name("milvus-client")
        .default_attribute("application", "milvus-otel-test")
        .install()?;
    // Lines for the terminal, which are also log records of the current span if OTEL_LOGS_EXPORTER=otlp.
    let lines = fmt::layer()
        .without_time()
        .with_level(false)
        .with_target(false);
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(lines)
        .with(telemetry.log_layer())
        .init();

    // Every call within the root span's context becomes its child.
    let tracer = global::tracer("quick_setup");
    let root = Context::new().with_span(tracer.start("test_milvus_otel"));
    let result = quick_setup().with_context(root.clone()).await;

    let span = root.span();
    let trace_id = span.span_context().trace_id();
    if let Err(error) = &result {
        eprintln!("failed: {error:#}");
        span.record_error(error.as_ref());
        span.set_status(Status::error(format!("{error:#}")));
    }
    span.end();

    // Sends the spans that are still queued.
    if let Err(lost) = telemetry.shutdown() {
        eprintln!("spans were lost: {lost}");
    }
    println!("trace_id={trace_id}");
    Ok(if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn quick_setup() -> Result<()> {
    let uri = variable("MILVUS_URI").unwrap_or_else(|| "http://localhost:19530".to_owned());
    let collection = variable("MILVUS_COLLECTION").unwrap_or_else(|| "quick_setup".to_owned());
    let collection = collection.as_str();

    let mut client = MilvusClient::builder(&uri);
    if let Some(token) = variable("MILVUS_TOKEN") {
        client = client.token(token);
    }
    let client = client.connect().await?;
    info!("connected to {uri}");

    if client.has_collection(collection).await? {
        client.drop_collection(collection).await?;
        info!("dropped the {collection} that was there");
    }

    // This creates the index and starts the load, too. With Strong consistency, the search below
    // sees the rows inserted just before it.
    client
        .create_collection(collection, DIMENSION)
        .metric_type(MetricType::Cosine)
        .consistency_level(ConsistencyLevel::Strong)
        .await?;
    info!("created {collection}");

    client.wait_for_load(collection, LOAD_TIMEOUT).await?;
    let state = client.get_load_state(collection).await?;
    info!("load state: {state:?}");

    let rows = (0..10).map(|id| {
        json!({
            "id": id,
            "vector": vector(id),
            "color": COLORS[id % 3],
        })
    });
    let inserted = client.insert(collection, rows).await?.count;
    ensure!(inserted == 10, "inserted {inserted} rows instead of 10");
    info!("inserted {inserted} rows");

    let query = [0.1, 0.2, 0.3, 0.4, 0.5];
    let hits = client.search(collection, [query]).limit(3).await?;
    let found: Vec<String> = hits[0].iter().map(|hit| hit.id.to_string()).collect();
    ensure!(found.len() == 3, "found {} rows instead of 3", found.len());
    info!("found ids {}", found.join(", "));

    client.drop_collection(collection).await?;
    info!("dropped {collection}");
    client.close();
    Ok(())
}

/// A variable of the environment; an empty one counts as unset.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn vector(id: usize) -> [f32; DIMENSION] {
    std::array::from_fn(|d| (id + d) as f32 / 10.0)
}
