//! The client's calls: their metadata, retries and errors.

use milvus_otel::client::{ErrorKind, Retry};
use milvus_otel::layer::Code;
use milvus_otel::{Error, MilvusClient};
use milvus_otel_tests::fake::{FakeMilvus, Reply};
use milvus_otel_tests::proto::common::{KeyValuePair, Status};
use milvus_otel_tests::proto::{milvus as m, schema as s};
use milvus_otel_tests::spans::{Recorder, error, span_context, text};
use opentelemetry::trace::{FutureExt, TraceId};
use prost::Message;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
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

    // After a refusal by the server, the next call fetches the schema again.
    for method in ["Delete", "Query", "Search"] {
        let stale = client().await;
        let call = || async {
            match method {
                "Delete" => stale.delete("rows").ids([1]).await.map(drop),
                "Query" => stale.get("rows", [1]).await.map(drop),
                _ => stale.search("rows", [[1.0, 2.0]]).await.map(drop),
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
