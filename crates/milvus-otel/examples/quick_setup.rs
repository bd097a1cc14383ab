//! A collection from its making to its end, every call to Milvus a span of one trace.

use anyhow::{Context as _, Result, ensure};
use milvus_otel::client::{ConsistencyLevel, MetricType};
use milvus_otel::{MilvusClient, Telemetry};
use opentelemetry::trace::{FutureExt, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use serde_json::json;
use std::env;
use std::process::ExitCode;
use std::time::Duration;

const COLORS: [&str; 3] = ["red", "green", "blue"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    // 1. Export spans to where OTEL_EXPORTER_OTLP_ENDPOINT says, http://localhost:4317 by default.
    let telemetry = Telemetry::builder()
        .default_service_name("milvus-client")
        .default_attribute("application", "milvus-otel-test")
        .install()?;

    // 2. Everything that happens within the root span belongs to its trace.
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

    // 3. Send what is still to be sent.
    if let Err(lost) = telemetry.shutdown() {
        eprintln!("{lost}");
    }
    println!("trace_id={trace_id}");
    Ok(if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn quick_setup() -> Result<()> {
    let uri = env::var("MILVUS_URI").unwrap_or_else(|_| "http://localhost:19530".to_owned());
    let name = &env::var("MILVUS_COLLECTION").unwrap_or_else(|_| "quick_setup".to_owned());
    let mut client = MilvusClient::builder(&uri);
    if let Ok(token) = env::var("MILVUS_TOKEN") {
        client = client.token(token);
    }
    let client = client.connect().await?;
    println!("connected to {uri}");

    if client.has_collection(name).await? {
        client.drop_collection(name).await?;
    }
    client
        .create_collection(name, 5)
        .metric_type(MetricType::Cosine)
        .consistency_level(ConsistencyLevel::Strong)
        .await
        .context("cannot create the collection")?;
    println!("created {name}");

    client.wait_for_load(name, Duration::from_secs(30)).await?;
    println!("load state: {:?}", client.get_load_state(name).await?);

    let rows = (0..10).map(|id| json!({ "id": id, "vector": vector(id), "color": COLORS[id % 3] }));
    let inserted = client.insert(name, rows).await?;
    ensure!(
        inserted.count == 10,
        "{} rows were inserted, not 10",
        inserted.count
    );
    println!("inserted {} rows", inserted.count);

    let found = client
        .search(name, [vector(1)])
        .limit(3)
        .output_fields(["color"])
        .consistency_level(ConsistencyLevel::Strong)
        .await?;
    let ids: Vec<String> = found[0].iter().map(|hit| hit.id.to_string()).collect();
    ensure!(ids.len() == 3, "{} rows were found, not 3", ids.len());
    println!("found ids {}", ids.join(", "));

    client.drop_collection(name).await?;
    println!("dropped {name}");
    client.close();
    Ok(())
}

/// Five numbers that no other row has.
fn vector(id: usize) -> [f32; 5] {
    [0, 1, 2, 3, 4].map(|axis| (id + axis) as f32 / 10.0)
}
