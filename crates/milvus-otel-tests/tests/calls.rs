//! The client's calls: their metadata, retries and errors.

use milvus_otel::client::{
    CollectionSchema, DataType, ErrorKind, FieldSchema, Function, Ranker, Retry, Vector,
};
use milvus_otel::layer::Code;
use milvus_otel::{Error, MilvusClient};
use milvus_otel_tests::fake::{FakeMilvus, Reply};
use milvus_otel_tests::proto::common::{KeyValuePair, ServerInfo, Status};
use milvus_otel_tests::proto::{milvus as m, schema as s};
use milvus_otel_tests::spans::{Recorder, error, span_context, text};
use opentelemetry::trace::{FutureExt, TraceId};
use prost::Message;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

/// A response that has only a status, as the first field.
fn answered(status: Status) -> Reply {
    m::AnyAnswer {
        status: Some(status),
    }
    .into()
}

/// A successful response: the empty message.
fn fine() -> Reply {
    Reply::Message(Vec::new())
}

/// A server that answers the first `times` calls of `HasCollection` and `Insert` with `failure`, and later ones successfully.
async fn failing(times: usize, failure: Reply) -> FakeMilvus {
    let count = AtomicUsize::new(0);
    FakeMilvus::start(move |method, _| match method {
        "HasCollection" | "Insert" if count.fetch_add(1, Ordering::Relaxed) < times => {
            failure.clone()
        }
        _ => fine(),
    })
    .await
}

fn quick(attempts: u32) -> Retry {
    let mut retry = Retry::attempts(attempts);
    retry.first_pause = Duration::from_millis(1);
    retry
}

async fn connect(fake: &FakeMilvus, recorder: &Recorder, retry: Retry) -> MilvusClient {
    let client = MilvusClient::builder(fake.uri())
        .layer(recorder.layer())
        .retry(retry)
        .connect()
        .await
        .unwrap();
    client.create_collection("rows", 2).await.unwrap();
    recorder.take();
    fake.take_calls();
    client
}

#[tokio::test]
async fn a_call_is_retried_if_that_helps_and_is_safe() {
    let rate_limit = |code, legacy_code, retriable| {
        answered(Status {
            code,
            legacy_code,
            reason: "rate limit".to_owned(),
            retriable,
            ..Default::default()
        })
    };
    // The node with the collection is gone, perhaps after it wrote some of the rows.
    let retriable = || rate_limit(901, 0, true);
    let refused = || {
        answered(Status {
            code: 100,
            reason: "not found".to_owned(),
            ..Default::default()
        })
    };
    let unavailable = || Reply::Status(14);
    // The failure, and the number of attempts of an idempotent call and of an insert.
    let cases = [
        ("Milvus limits the rate", rate_limit(8, 0, true), 3, 3),
        ("Milvus 2.2 limits the rate", rate_limit(0, 49, false), 3, 3),
        ("Milvus says that it may be", retriable(), 3, 1),
        ("Milvus doesn't say that it may be", refused(), 1, 1),
        ("the server is out of reach", unavailable(), 3, 1),
        ("the server is overloaded", Reply::Status(8), 3, 1),
        ("the call is wrong", Reply::Status(3), 1, 1),
    ];
    for (what, failure, idempotent, insert) in cases {
        let fake = failing(2, failure.clone()).await;
        let recorder = Recorder::default();
        let client = connect(&fake, &recorder, quick(5)).await;
        let outcome = client.has_collection("rows").await;
        assert_eq!(outcome.is_ok(), idempotent == 3, "{what}: {outcome:?}");
        let spans = recorder.take();
        assert_eq!(spans.len(), idempotent, "{what}: each try is a span");
        for (attempt, span) in spans.iter().enumerate() {
            let before = text(span, "rpc.grpc.request.metadata.grpc-previous-rpc-attempts");
            let expected = (attempt > 0).then(|| format!("[\"{attempt}\"]"));
            assert_eq!(before, expected, "{what}");
        }
        assert_eq!(fake.take_calls().len(), idempotent, "{what}");
        assert!(error(&spans[0]).is_some(), "{what}");

        let fake = failing(2, failure).await;
        let client = connect(&fake, &recorder, quick(5)).await;
        let outcome = client
            .insert("rows", [json!({ "id": 1, "vector": [1, 2] })])
            .await;
        assert_eq!(outcome.is_ok(), insert == 3, "{what}: {outcome:?}");
        assert_eq!(fake.take_calls().len(), insert, "{what}");
    }
}

#[tokio::test]
async fn attempts_are_limited() {
    let fake = failing(100, Reply::Status(14)).await;
    let recorder = Recorder::default();
    let client = connect(&fake, &recorder, quick(3)).await;
    let error = client.has_collection("rows").await.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Rpc {
                code: Code::Unavailable,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(recorder.take().len(), 3);
}

/// A server whose collections all have a key `key` and vectors `near`, whatever a client created, and which rejects other fields.
async fn made_anew() -> FakeMilvus {
    let field = |name: &str, data_type: s::DataType| s::FieldSchema {
        name: name.to_owned(),
        is_primary_key: name == "key",
        data_type: data_type.into(),
        type_params: vec![KeyValuePair {
            key: "dim".to_owned(),
            value: "3".to_owned(),
        }],
        ..Default::default()
    };
    let schema = s::CollectionSchema {
        fields: vec![
            field("key", s::DataType::Int64),
            field("near", s::DataType::FloatVector),
        ],
        ..Default::default()
    };
    FakeMilvus::start(move |method, message| {
        let is_known = match method {
            "DescribeCollection" => {
                return m::DescribeCollectionResponse {
                    schema: Some(schema.clone()),
                    ..Default::default()
                }
                .into();
            }
            "Insert" => {
                let columns = m::InsertRequest::decode(message).unwrap().fields_data;
                columns
                    .iter()
                    .map(|column| &*column.field_name)
                    .eq(["key", "near"])
            }
            "Delete" => m::DeleteRequest::decode(message).unwrap().expr == "key in [1]",
            "Query" => m::QueryRequest::decode(message).unwrap().expr == "key in [1]",
            "Search" => {
                let params = m::SearchRequest::decode(message).unwrap().search_params;
                params.iter().any(|param| param.value == "near")
            }
            _ => true,
        };
        if is_known {
            fine()
        } else {
            answered(Status {
                code: 1100,
                reason: "no such field".to_owned(),
                ..Default::default()
            })
        }
    })
    .await
}

#[tokio::test]
async fn the_schema_of_a_recreated_collection_is_fetched_again() {
    let fake = made_anew().await;
    let client = || async { connect(&fake, &Recorder::default(), quick(1)).await };
    let methods = || -> Vec<String> { fake.take_calls().into_iter().map(|call| call.0).collect() };
    let row = json!({ "key": 1, "near": [1, 2, 3] });

    // If rows don't fit the cached schema, the client fetches the schema again before it sends them.
    let stale = client().await;
    for expected in [&["DescribeCollection", "Insert"][..], &["Insert"]] {
        stale.insert("rows", [&row]).await.unwrap();
        assert_eq!(methods(), expected);
    }
    let wrong = stale
        .insert("rows", [json!({ "key": 1 })])
        .await
        .unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "`insert` in `rows`: row 0 has no field `near`"
    );
    assert_eq!(methods(), ["DescribeCollection"]);

    // The same for vectors that don't have the dimension of the cached schema.
    let stale = client().await;
    let near = [[1.0, 2.0, 3.0]];
    stale.search("rows", near).await.unwrap();
    assert_eq!(methods(), ["DescribeCollection", "Search"]);

    // After a refusal by the server, the next call fetches the schema again.
    let sparse = || BTreeMap::from([(1, 0.5)]);
    for method in ["Delete", "Query", "Search"] {
        let stale = client().await;
        let call = || async {
            match method {
                "Delete" => stale.delete("rows").ids([1]).await.map(drop),
                "Query" => stale.get("rows", [1]).await.map(drop),
                _ => stale.search("rows", [sparse()]).await.map(drop),
            }
        };
        assert_eq!(
            call().await.unwrap_err().milvus_code(),
            Some(1100),
            "{method}"
        );
        call().await.unwrap();
        assert_eq!(methods(), [method, "DescribeCollection", method]);
    }
}

#[tokio::test]
async fn pauses_between_attempts_are_limited() {
    let times = Arc::<Mutex<Vec<Instant>>>::default();
    let fake = FakeMilvus::start({
        let times = Arc::clone(&times);
        move |method, _| match method {
            "HasCollection" => {
                times.lock().unwrap().push(Instant::now());
                Reply::Status(14)
            }
            _ => fine(),
        }
    })
    .await;
    let longest = Duration::from_millis(8);
    let mut retry = Retry::attempts(15);
    (retry.first_pause, retry.longest_pause) = (longest, longest);
    let client = connect(&fake, &Recorder::default(), retry).await;
    client.has_collection("rows").await.unwrap_err();
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 15);
    // Without the limit, the second pause would be at least one and a half times as long.
    for pause in times.windows(2).skip(1).map(|pair| pair[1] - pair[0]) {
        assert!(pause >= longest, "{pause:?}");
    }
}

#[tokio::test]
async fn an_error_names_its_trace() {
    let status = Status {
        code: 1100,
        legacy_code: 5,
        reason: "no such <field>".to_owned(),
        ..Default::default()
    };
    let fake = failing(100, answered(status)).await;
    let recorder = Recorder::default();
    let client = connect(&fake, &recorder, quick(1)).await;
    let failed = client.has_collection("rows").await.unwrap_err();
    let span = recorder.take_one();
    let trace_id = span.span_context.trace_id();
    assert_eq!(failed.trace_id(), Some(trace_id));
    assert_eq!(failed.milvus_code(), Some(1100));
    assert!(!failed.is_retriable());
    assert_eq!(
        failed.to_string(),
        format!(
            "`has_collection` in `rows`: `HasCollection` failed: no such <field> (Milvus code 1100), trace {trace_id}"
        )
    );
    assert_eq!(error(&span), Some("no such <field> (Milvus code 1100)"));
    assert_eq!(text(&span, "error.type").as_deref(), Some("1100"));
    // The gRPC status is OK: the error is only in the body.
    assert_eq!(text(&span, "rpc.grpc.status_code").as_deref(), Some("0"));
}

#[tokio::test]
async fn servers_before_2_3_have_only_the_old_code() {
    let status = Status {
        legacy_code: 4,
        reason: "can't find collection".to_owned(),
        ..Default::default()
    };
    let fake = failing(100, answered(status)).await;
    let client = connect(&fake, &Recorder::default(), quick(1)).await;
    assert_eq!(
        client
            .has_collection("rows")
            .await
            .unwrap_err()
            .milvus_code(),
        Some(4)
    );
}

#[tokio::test]
async fn without_a_tracer_an_error_names_no_trace() {
    let status = Status {
        code: 1,
        reason: "no".to_owned(),
        ..Default::default()
    };
    let fake = failing(100, answered(status)).await;
    let client = MilvusClient::connect(fake.uri()).await.unwrap();
    fake.take_calls();
    let error = client.has_collection("rows").await.unwrap_err();
    assert_eq!(error.trace_id(), None);
    assert_eq!(
        error.to_string(),
        "`has_collection` in `rows`: `HasCollection` failed: no (Milvus code 1)"
    );
    assert!(!fake.take_calls()[0].1.contains_key("client_request_id"));
}

#[tokio::test]
async fn caller_and_span_get_the_same_error() {
    let cases = [
        (Reply::Status(7), Code::PermissionDenied, "", false),
        (Reply::Status(10), Code::Aborted, "", true),
        // A field that is shorter than its length, and invalid UTF-8.
        (
            Reply::Message(vec![0x0a, 9]),
            Code::Internal,
            "decode",
            false,
        ),
        (
            Reply::Message(vec![0x0a, 3, 0x12, 1, 0xff]),
            Code::Internal,
            "decode",
            false,
        ),
        (
            Reply::Silence,
            Code::DeadlineExceeded,
            "Timeout expired",
            true,
        ),
        (
            Reply::Unfinished,
            Code::DeadlineExceeded,
            "Timeout expired",
            true,
        ),
    ];
    for (reply, code, words, retriable) in cases {
        let fake = failing(100, reply.clone()).await;
        let recorder = Recorder::default();
        let seconds = if code == Code::DeadlineExceeded {
            1
        } else {
            60
        };
        let builder = MilvusClient::builder(fake.uri())
            .layer(recorder.layer())
            .retry(Retry::attempts(1))
            .timeout(Duration::from_secs(seconds));
        let client = builder.connect().await.unwrap();
        recorder.take();
        let failed = client.has_collection("rows").await.unwrap_err();
        let span = recorder.take_one();
        assert!(
            matches!(failed.kind(), ErrorKind::Rpc { code: found, .. } if *found == code),
            "{reply:?}: {failed}"
        );
        assert!(failed.to_string().contains(words), "{reply:?}: {failed}");
        assert_eq!(failed.is_retriable(), retriable, "{reply:?}");
        assert_eq!(failed.trace_id(), Some(span.span_context.trace_id()));
        assert_eq!(
            text(&span, "error.type").as_deref(),
            Some(code.name()),
            "{reply:?}"
        );
        assert_eq!(
            text(&span, "rpc.grpc.status_code"),
            Some((code as i32).to_string()),
            "{reply:?}"
        );
        assert!(error(&span).unwrap().contains(words), "{reply:?}: {span:?}");
    }
}

#[tokio::test]
async fn a_wait_ends_in_time_even_if_the_server_does_not_answer() {
    let fake = FakeMilvus::start(|method, _| match method {
        "GetLoadState" | "Flush" => Reply::Silence,
        _ => fine(),
    })
    .await;
    let recorder = Recorder::default();
    let client = connect(&fake, &recorder, quick(1)).await;
    let brief = Duration::from_millis(50);
    let root = recorder.root();
    let trace_id = span_context(&root).trace_id();
    let waits = async {
        let load = client.wait_for_load("rows", brief).await;
        [load, client.flush("rows", brief).await]
    };
    let expected = [
        "`wait_for_load` in `rows`: not loaded within 50ms",
        "`flush` in `rows`: not flushed within 50ms",
    ];
    for (wait, what) in waits.with_context(root).await.into_iter().zip(expected) {
        let late = wait.unwrap_err();
        assert_eq!(late.to_string(), format!("{what}, trace {trace_id}"));
        assert!(late.is_retriable());
    }
    let spans = recorder.take();
    assert!(spans.len() >= 2, "{spans:?}");
    for span in &spans[..2] {
        assert_eq!(text(span, "error.type").as_deref(), Some("CANCELLED"));
    }
}

async fn connect_with_operations(fake: &FakeMilvus, recorder: &Recorder) -> MilvusClient {
    let builder = MilvusClient::builder(fake.uri())
        .layer(recorder.layer())
        .operation_spans(true);
    let client = builder.connect().await.unwrap();
    recorder.take();
    client
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn each_operation_is_counted_once_in_its_histogram() {
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

    let fake = FakeMilvus::start(|method, _| match method {
        "ReleaseCollection" => Reply::Status(7),
        _ => fine(),
    })
    .await;
    let recorder = Recorder::default();
    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter.clone())
        .build();
    let builder = MilvusClient::builder(fake.uri())
        .layer(recorder.layer().with_meter_provider(&meters))
        .operation_spans(true);
    let client = builder.connect().await.unwrap();
    recorder.take();
    client.drop_collection("rows").await.unwrap();
    client.drop_collection("rows").await.unwrap();
    client.release_collection("rows").await.unwrap_err();
    let spans = recorder.take();
    let operations = spans.iter().filter(|span| !span.name.contains('/'));
    meters.force_flush().unwrap();

    let mut counts = Vec::new();
    for resource in exporter.get_finished_metrics().unwrap() {
        let metrics = resource.scope_metrics().flat_map(ScopeMetrics::metrics);
        for metric in metrics.filter(|metric| metric.name().starts_with("db.")) {
            assert_eq!(
                (metric.name(), metric.unit()),
                ("db.client.operation.duration", "s")
            );
            let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
                panic!("a histogram")
            };
            for point in histogram.data_points() {
                let mut attributes: Vec<String> = point
                    .attributes()
                    .filter(|one| !one.key.as_str().starts_with("server."))
                    .map(|one| format!("{}={}", one.key, one.value))
                    .collect();
                attributes.sort();
                counts.push((point.count(), attributes.join(" ")));
            }
        }
    }
    counts.sort();
    let common = "db.collection.name=rows db.namespace=default db.operation.name";
    let expected = [
        (
            1,
            format!(
                "{common}=release_collection db.system.name=milvus error.type=PERMISSION_DENIED"
            ),
        ),
        (2, format!("{common}=drop_collection db.system.name=milvus")),
    ];
    assert_eq!(counts, expected);
    assert_eq!(operations.count(), 3);
}

#[tokio::test]
async fn a_dropped_operation_is_cancelled_after_its_call() {
    let fake = FakeMilvus::start(|method, _| match method {
        "HasCollection" => Reply::Silence,
        _ => fine(),
    })
    .await;
    let recorder = Recorder::default();
    let client = connect_with_operations(&fake, &recorder).await;
    let brief = Duration::from_millis(50);
    tokio::time::timeout(brief, client.has_collection("rows"))
        .await
        .expect_err("there is no answer");
    let spans = recorder.take();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(
        names,
        [
            "milvus.proto.milvus.MilvusService/HasCollection",
            "has_collection rows"
        ]
    );
    for span in &spans {
        assert_eq!(text(span, "error.type").as_deref(), Some("CANCELLED"));
        assert!(error(span).unwrap().contains("was dropped before its end"));
    }
}

/// Errors before the call, in it, and in its response.
#[tokio::test]
async fn an_error_names_its_operation_and_its_span_has_the_error() {
    let fake = FakeMilvus::start(|method, _| match method {
        "Insert" | "Delete" => m::MutationResult {
            insert_cnt: -1,
            delete_cnt: -1,
            ..Default::default()
        }
        .into(),
        "LoadCollection" => Reply::Status(7),
        _ => fine(),
    })
    .await;
    let recorder = Recorder::default();
    let client = connect_with_operations(&fake, &recorder).await;
    client.create_collection("rows", 2).await.unwrap_err();
    let row = json!({ "id": 1, "vector": [1, 2] });
    let failures = [
        (
            client.delete("rows").await.map(drop),
            "delete",
            "invalid_argument",
        ),
        (
            client.load_collection("rows").await,
            "load_collection",
            "PERMISSION_DENIED",
        ),
        (
            client.insert("rows", [row]).await.map(drop),
            "insert",
            "unexpected_answer",
        ),
        (
            client.delete("rows").filter("id > 0").await.map(drop),
            "delete",
            "unexpected_answer",
        ),
        (
            client.get_collection_stats("rows").await.map(drop),
            "get_collection_stats",
            "unexpected_answer",
        ),
    ];
    let mut operations = recorder.take();
    operations.retain(|span| text(span, "db.operation.name").is_some());
    for (span, (outcome, name, error_type)) in operations[1..].iter().zip(failures) {
        let failed = outcome.unwrap_err();
        assert_eq!(span.name, format!("{name} rows"));
        assert_eq!(
            failed.trace_id(),
            Some(span.span_context.trace_id()),
            "{failed}"
        );
        assert_eq!(
            text(span, "error.type").as_deref(),
            Some(error_type),
            "{failed}"
        );
        assert!(error(span).is_some(), "{failed}");
    }
    assert_eq!(operations.len(), 6);
}

#[tokio::test]
async fn each_call_carries_user_database_and_trace() {
    let fake = FakeMilvus::start(|method, _| match method {
        "Connect" => m::ConnectResponse {
            identifier: 77,
            ..Default::default()
        }
        .into(),
        _ => fine(),
    })
    .await;
    let recorder = Recorder::default();
    let builder = MilvusClient::builder(fake.uri())
        .layer(recorder.layer())
        .user("jo", "se:cret")
        .database("films");
    assert!(
        !format!("{builder:?}").contains("cret"),
        "a password is no one's to see"
    );
    let client = builder.connect().await.unwrap();
    client.has_collection("rows").await.unwrap();
    let span = recorder.take().pop().unwrap();
    let (method, headers) = fake.take_calls().pop().unwrap();
    assert_eq!(method, "HasCollection");
    assert_eq!(headers["authorization"], "am86c2U6Y3JldA==");
    assert_eq!(headers["dbname"], "films");
    assert_eq!(headers["identifier"], "77");
    assert_eq!(
        headers["client_request_id"],
        span.span_context.trace_id().to_string()
    );
    assert!(
        headers["traceparent"]
            .to_str()
            .unwrap()
            .contains(&span.span_context.trace_id().to_string())
    );
}

#[tokio::test]
async fn an_invalid_address_is_an_error_before_anything_is_sent() {
    let cases = [
        ("", "isn't a valid URI"),
        ("http://", "isn't a valid URI"),
        ("tcp://localhost:19530", "isn't the address of a server"),
        ("a b", "isn't a valid URI"),
    ];
    for (uri, words) in cases {
        let error: Error = MilvusClient::connect(uri).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Invalid(_)),
            "{uri:?}: {error}"
        );
        assert!(error.to_string().contains(words), "{uri:?}: {error}");
        assert_eq!(error.trace_id(), None::<TraceId>);
    }
}

#[tokio::test]
async fn a_server_without_the_method_is_an_old_milvus_and_one_without_the_service_is_none() {
    let check = async |message, connects: bool| {
        let fake = FakeMilvus::start(move |_, _| Reply::Failed(12, message)).await;
        let connected = MilvusClient::connect(fake.uri()).await;
        assert_eq!(connected.is_ok(), connects, "{message}: {connected:?}");
    };
    check("unknown method Connect for service milvus", true).await;
    check("unknown service milvus.proto.milvus.MilvusService", false).await;
    check("", false).await;
}

/// A server of that version that answers everything else with the empty message.
async fn server_of_version(build_tags: &'static str) -> (FakeMilvus, MilvusClient) {
    let schemas = Mutex::new(BTreeMap::new());
    let fake = FakeMilvus::start(move |method, message| match method {
        "Connect" => m::ConnectResponse {
            server_info: Some(ServerInfo {
                build_tags: build_tags.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
        .into(),
        "CreateCollection" => {
            let request = m::CreateCollectionRequest::decode(message).unwrap();
            let schema = s::CollectionSchema::decode(request.schema).unwrap();
            let mut schemas = schemas.lock().unwrap();
            schemas.insert(request.collection_name, schema);
            fine()
        }
        "DescribeCollection" => {
            let request = m::DescribeCollectionRequest::decode(message).unwrap();
            m::DescribeCollectionResponse {
                schema: schemas
                    .lock()
                    .unwrap()
                    .get(&request.collection_name)
                    .cloned(),
                ..Default::default()
            }
            .into()
        }
        _ => fine(),
    })
    .await;
    let client = MilvusClient::connect(fake.uri()).await.unwrap();
    client.create_collection("films", 2).await.unwrap();
    fake.take_calls();
    (fake, client)
}

/// Calls that need a version later than 2.3.5, each with the message of its error there.
async fn newer_calls(client: &MilvusClient) -> Vec<(Result<(), Error>, &'static str)> {
    let create = async |field: FieldSchema| {
        let schema = CollectionSchema::new().field(field);
        client.create_collection_with_schema("new", schema).await
    };
    let one = || client.search_one("films", [0.1, 0.2]);
    let bm25 = CollectionSchema::new().function(Function::bm25("of_text", "text", "words"));
    vec![
        (
            create(FieldSchema::int64("age").nullable()).await,
            "`create_collection` in `new`: field `age`: a nullable field needs Milvus 2.5 or later, and the server's version \
             is 2.3.5",
        ),
        (
            create(FieldSchema::int64("age").default_value(7)).await,
            "field `age`: a default value needs Milvus 2.5",
        ),
        (
            create(FieldSchema::int64("age").clustering_key()).await,
            "field `age`: a clustering key needs Milvus 2.4",
        ),
        (
            create(FieldSchema::sparse_vector("words")).await,
            "field `words`: a SparseFloatVector needs Milvus 2.4",
        ),
        (
            create(FieldSchema::bfloat16_vector("look", 2)).await,
            "field `look`: a BFloat16Vector needs Milvus 2.4",
        ),
        (
            create(FieldSchema::int8_vector("look", 2)).await,
            "field `look`: a Int8Vector needs Milvus 2.6",
        ),
        (
            client.create_collection_with_schema("new", bm25).await,
            "a function that fills a field needs Milvus 2.5",
        ),
        (
            one().group_by("year").await.map(drop),
            "`search_one` in `films`: `group_by` needs Milvus 2.4",
        ),
        (
            client
                .hybrid_search("films", [one()], Ranker::rrf(60))
                .await
                .map(drop),
            "`hybrid_search` in `films`: this operation needs Milvus 2.4",
        ),
        (
            client.search_iterator("films", [0.1, 0.2]).await.map(drop),
            "this operation needs Milvus 2.4",
        ),
        (
            client
                .create_database("new", &[("database.max.collections", "5")])
                .await,
            "a property of a new database needs Milvus 2.4.6",
        ),
        (
            client.truncate_collection("films").await,
            "`truncate_collection` in `films`: this operation needs Milvus 2.6.11",
        ),
    ]
}

#[tokio::test]
async fn a_call_that_the_servers_version_does_not_have_is_an_error_before_it_is_sent() {
    let (fake, client) = server_of_version("v2.3.5").await;
    for (outcome, expected) in newer_calls(&client).await {
        let error = outcome.unwrap_err();
        assert!(
            error.is_unsupported() && error.method().is_none(),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
    client.create_database("new", &[]).await.unwrap();
    let calls = fake.take_calls().into_iter().map(|(method, _)| method);
    assert_eq!(calls.collect::<Vec<_>>(), ["CreateDatabase"]);
}

#[tokio::test]
async fn a_server_of_a_later_or_an_unknown_version_is_asked() {
    for version in ["v2.6.11", "3.0.0", "master-20261101-5c5948cb", ""] {
        let (fake, client) = server_of_version(version).await;
        let calls = newer_calls(&client).await;
        for (outcome, _) in &calls {
            let is_refused = outcome.as_ref().is_err_and(Error::is_unsupported);
            assert!(!is_refused, "{version}: {outcome:?}");
        }
        assert!(fake.take_calls().len() >= calls.len(), "{version}");
    }
}

#[tokio::test]
async fn a_vector_of_another_dimension_is_an_error_before_the_search_is_sent() {
    let (fake, client) = server_of_version("v2.6.11").await;
    let schema = CollectionSchema::new()
        .field(FieldSchema::int64("id").primary_key())
        .field(FieldSchema::float_vector("vector", 2))
        .field(FieldSchema::float16_vector("half", 2))
        .field(FieldSchema::new("brain", DataType::BFloat16Vector))
        .field(FieldSchema::int8_vector("tiny", 2))
        .field(FieldSchema::binary_vector("bits", 16))
        .field(FieldSchema::sparse_vector("words"));
    client
        .create_collection_with_schema("all", schema)
        .await
        .unwrap();
    let cases = [
        ("vector", Vector::Float(vec![0.1; 2]), None),
        ("vector", Vector::Float(vec![0.1; 3]), Some((2, 3))),
        ("vector", Vector::Float(vec![]), Some((2, 0))),
        ("half", Vector::Float16(vec![0.1]), Some((2, 1))),
        ("brain", Vector::BFloat16(vec![0.1]), None),
        ("tiny", Vector::Int8(vec![1, 2, 3, 4]), Some((2, 4))),
        ("bits", Vector::Binary(vec![1, 2]), None),
        ("bits", Vector::Binary(vec![1, 2, 3]), Some((16, 24))),
        ("words", Vector::Sparse(BTreeMap::from([(700, 0.5)])), None),
        // The server knows what it makes of these.
        ("words", Vector::Text("a text".to_owned()), None),
        ("vector", Vector::Binary(vec![1]), None),
        ("unknown", Vector::Float(vec![0.1]), None),
    ];
    for (field, vector, expected) in cases {
        fake.take_calls();
        let search = client.search_one("all", vector.clone()).field(field).await;
        let calls = fake.take_calls().into_iter().map(|(method, _)| method);
        let was_sent = calls.into_iter().any(|method| method == "Search");
        assert_eq!(
            was_sent,
            expected.is_none(),
            "{field} {vector:?}: {search:?}"
        );
        if let Some((dimension, found)) = expected {
            let error = search.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error}");
            let text = format!(
                "`search_one` in `all`: vector 0, field `{field}`: expected a vector of dimension {dimension}, found one of {found}"
            );
            assert!(error.to_string().starts_with(&text), "{error}");
        }
    }
    let search = client.search("films", [vec![0.1, 0.2], vec![0.1]]);
    let error = search.await.unwrap_err().to_string();
    let expected = "`search` in `films`: vector 1, field `vector`: expected a vector of dimension 2, found one of 1";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn an_error_tells_what_a_program_does_about_it() {
    let milvus = |code, legacy_code| {
        answered(Status {
            code,
            legacy_code,
            ..Default::default()
        })
    };
    // Not found, rate limited, unsupported, timeout.
    let cases = [
        (milvus(100, 4), "not found"),
        (milvus(200, 0), "not found"),
        (milvus(700, 0), "not found"),
        (milvus(800, 0), "not found"),
        (milvus(1600, 0), "not found"),
        (milvus(8, 49), "rate limited"),
        (milvus(0, 49), "rate limited"),
        (milvus(1100, 0), ""),
        // Of Milvus before 2.3, where 4 is a missing collection; since then it is a limit.
        (milvus(0, 4), ""),
        (Reply::Status(12), "unsupported"),
        (Reply::Status(4), "timeout"),
        (Reply::Status(5), ""),
    ];
    for (reply, expected) in cases {
        let fake = failing(usize::MAX, reply).await;
        let client = connect(&fake, &Recorder::default(), quick(1)).await;
        let error = client.has_collection("rows").await.unwrap_err();
        let is = [
            (error.is_not_found(), "not found"),
            (error.is_rate_limited(), "rate limited"),
            (error.is_unsupported(), "unsupported"),
            (error.is_timeout(), "timeout"),
        ];
        let found: Vec<_> = is.into_iter().filter(|(is, _)| *is).collect();
        let found: Vec<_> = found.into_iter().map(|(_, name)| name).collect();
        let expected: Vec<_> = Some(expected)
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(found, expected, "{error}");
    }
}

/// The server keeps each insert waiting until as many are in flight as the client may send at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn batches_are_in_flight_at_once_and_no_more_than_asked_for() {
    for at_once in [1, 2, 4] {
        let in_flight = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let together = Arc::new(Barrier::new(at_once));
        let rows = Arc::new(Mutex::new(Vec::new()));
        let (flying, highest, kept) = (in_flight, Arc::clone(&most), Arc::clone(&rows));
        let fake = FakeMilvus::start(move |method, message| {
            if method != "Insert" {
                return fine();
            }
            let now = flying.fetch_add(1, Ordering::SeqCst) + 1;
            highest.fetch_max(now, Ordering::SeqCst);
            tokio::task::block_in_place(|| together.wait());
            let request = m::InsertRequest::decode(message).unwrap();
            kept.lock().unwrap().push(request.num_rows);
            flying.fetch_sub(1, Ordering::SeqCst);
            m::MutationResult {
                insert_cnt: request.num_rows.into(),
                ..Default::default()
            }
            .into()
        })
        .await;
        let client = connect(&fake, &Recorder::default(), quick(1)).await;
        let data = (0..80).map(|id| json!({ "id": id, "vector": [1, 2] }));
        let insert = client.insert_batches("rows", data);
        let written = insert.batch_rows(10).at_once(at_once).await.unwrap();
        assert_eq!(written, 80);
        assert_eq!(*rows.lock().unwrap(), [10; 8]);
        assert_eq!(most.load(Ordering::SeqCst), at_once);
    }
}

#[tokio::test]
async fn a_failed_batch_ends_the_insert_and_counts_only_the_rows_before_it() {
    for at_once in [1, 3] {
        let fake = FakeMilvus::start(|method, message| match method {
            "Insert" => {
                let request = m::InsertRequest::decode(message).unwrap();
                let code = if request.num_rows == 5 { 1100 } else { 0 };
                m::MutationResult {
                    status: Some(Status {
                        code,
                        ..Default::default()
                    }),
                    insert_cnt: request.num_rows.into(),
                    ..Default::default()
                }
                .into()
            }
            _ => fine(),
        })
        .await;
        let client = connect(&fake, &Recorder::default(), quick(1)).await;
        // The batches have 10, 10 and 5 rows: the last one fails.
        let data = (0..25).map(|id| json!({ "id": id, "vector": [1, 2] }));
        let insert = client.insert_batches("rows", data);
        let failed = insert.batch_rows(10).at_once(at_once).await.unwrap_err();
        assert_eq!(failed.rows_before(), 20, "{at_once}: {failed}");
        assert_eq!(failed.milvus_code(), Some(1100), "{failed}");
    }
}

#[tokio::test]
async fn an_error_of_a_batch_has_the_trace_that_it_happened_in() {
    let fake = FakeMilvus::start(|_, _| fine()).await;
    let recorder = Recorder::default();
    let client = connect(&fake, &recorder, quick(1)).await;
    let root = recorder.root();
    let trace_id = span_context(&root).trace_id();
    let rows = client.insert_batches("rows", ["not a record"]);
    let failed = rows.into_future().with_context(root).await.unwrap_err();
    assert_eq!(failed.trace_id(), Some(trace_id), "{failed}");
    assert_eq!(format!("{failed:?}"), failed.to_string());
}

/// Every future of the client is `Send`.
#[tokio::test]
async fn every_call_can_be_made_from_any_task() {
    fn assert_send(_: impl Send) {}
    let fake = FakeMilvus::start(|_, _| fine()).await;
    let client = MilvusClient::connect(fake.uri()).await.unwrap();
    assert_send(client.has_collection("rows"));
    assert_send(client.describe_collection("rows"));
    assert_send(client.wait_for_load("rows", Duration::ZERO));
    assert_send(client.flush("rows", Duration::ZERO));
    assert_send(client.list_indexes("rows"));
    assert_send(
        client.raw_call::<m::BoolResponse>("HasCollection", &m::HasCollectionRequest::default()),
    );
    assert_send(client.search("rows", [[1.0]]).into_future());
    assert_send(client.insert("rows", [json!({})]).into_future());
    assert_send(MilvusClient::connect(fake.uri()));
}
