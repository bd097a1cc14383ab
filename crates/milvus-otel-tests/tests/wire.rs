//! Responses that gRPC allows but Milvus doesn't send: from proxies, overloaded servers and servers that shut down.

use milvus_otel::MilvusClient;
use milvus_otel::client::{ConsistencyLevel, ErrorKind, Retry};
use milvus_otel::layer::Code;
use milvus_otel_tests::fake::{FakeMilvus, Reply};
use milvus_otel_tests::proto::milvus as m;
use milvus_otel_tests::spans::{Recorder, error, text};
use prost::Message;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn fine() -> Reply {
    Reply::Message(Vec::new())
}

async fn failing_once(failure: Reply) -> FakeMilvus {
    let count = AtomicUsize::new(0);
    FakeMilvus::start(move |method, _| match method {
        "HasCollection" | "Insert" if count.fetch_add(1, Ordering::Relaxed) == 0 => failure.clone(),
        _ => fine(),
    })
    .await
}

async fn connect(uri: &str, recorder: &Recorder, attempts: u32) -> MilvusClient {
    let mut retry = Retry::attempts(attempts);
    retry.first_pause = Duration::from_millis(1);
    let builder = MilvusClient::builder(uri).layer(recorder.layer());
    let client = builder.retry(retry).connect().await.unwrap();
    client.create_collection("rows", 2).await.unwrap();
    recorder.take();
    client
}

const HTML: &str = "<html>proxy</html>";

#[tokio::test]
async fn an_answer_without_a_status_or_a_message_has_the_code_of_grpc_in_span_and_error() {
    let page = |status, body| Reply::Page(status, "text/html", body);
    let cases = [
        (page(400, HTML), Code::Internal, 1),
        (page(401, HTML), Code::Unauthenticated, 1),
        (page(403, HTML), Code::PermissionDenied, 1),
        (page(404, HTML), Code::Unimplemented, 1),
        (page(429, HTML), Code::Unavailable, 2),
        (page(500, HTML), Code::Unknown, 1),
        (page(502, HTML), Code::Unavailable, 2),
        (page(503, HTML), Code::Unavailable, 2),
        (page(503, ""), Code::Unavailable, 2),
        (page(504, HTML), Code::Unavailable, 2),
        (page(200, HTML), Code::Unknown, 1),
        (page(200, ""), Code::Unknown, 1),
        (Reply::TrailersOnly, Code::Internal, 1),
        (Reply::NoMessage, Code::Internal, 1),
        (Reply::NoStatus, Code::Unknown, 1),
    ];
    for (reply, code, attempts) in cases {
        let fake = failing_once(reply.clone()).await;
        let recorder = Recorder::default();
        let client = connect(&fake.uri(), &recorder, 5).await;
        let outcome = client.has_collection("rows").await;
        let spans = recorder.take();
        assert_eq!(spans.len(), attempts, "{reply:?}: {outcome:?}");
        assert_eq!(outcome.is_ok(), attempts == 2, "{reply:?}: {outcome:?}");

        let fake = failing_once(reply.clone()).await;
        let client = connect(&fake.uri(), &recorder, 1).await;
        let failed = client.has_collection("rows").await.unwrap_err();
        let span = recorder.take_one();
        let ErrorKind::Rpc {
            code: found,
            message,
        } = failed.kind()
        else {
            panic!("{reply:?}: {failed}");
        };
        assert_eq!(*found, code, "{reply:?}: {failed}");
        let number = (code as i32).to_string();
        assert_eq!(
            text(&span, "rpc.grpc.status_code"),
            Some(number),
            "{reply:?}"
        );
        assert_eq!(text(&span, "error.type").as_deref(), Some(code.name()));
        assert_eq!(error(&span), Some(message.as_str()), "{reply:?}");
    }
}

/// Forwards bytes to a server. Once armed, it doesn't forward the next request but answers with HTTP/2's GOAWAY,
/// which names the previous request as the last one that is processed.
async fn going_away(server: SocketAddr, armed: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, server, Arc::clone(&armed)));
        }
    });
    address
}

async fn pass(
    client: TcpStream,
    server: SocketAddr,
    armed: Arc<AtomicBool>,
) -> std::io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    let (mut requests, mut to_client) = client.into_split();
    let (mut answers, mut to_server) = TcpStream::connect(server).await?.into_split();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let back = tokio::spawn(async move {
        tokio::select! {
            _ = tokio::io::copy(&mut answers, &mut to_client) => {}
            _ = stopped => {}
        }
        to_client
    });
    let mut preface = [0; PREFACE];
    requests.read_exact(&mut preface).await?;
    to_server.write_all(&preface).await?;
    loop {
        let mut head = [0; 9];
        requests.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        requests.read_exact(&mut payload).await?;
        if head[3] == HEADERS && armed.swap(false, Ordering::Relaxed) {
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
            frame.extend((stream - 2).to_be_bytes());
            frame.extend(0u32.to_be_bytes());
            drop(stop);
            let mut to_client = back.await.expect("it doesn't panic");
            return to_client.write_all(&frame).await;
        }
        to_server.write_all(&head).await?;
        to_server.write_all(&payload).await?;
    }
}

#[tokio::test]
async fn an_unprocessed_request_is_sent_again() {
    let row = || [json!({ "id": 1, "vector": [1, 2] })];
    for attempts in [1, 5] {
        let recorder = Recorder::default();
        let fake = failing_once(Reply::Refused).await;
        let client = connect(&fake.uri(), &recorder, attempts).await;
        client.insert("rows", row()).await.unwrap();
        assert_eq!(recorder.take().len(), 2, "refused, {attempts} attempts");

        let fake = FakeMilvus::start(|_, _| fine()).await;
        let armed = Arc::<AtomicBool>::default();
        let proxy = going_away(([127, 0, 0, 1], fake.port()).into(), Arc::clone(&armed)).await;
        let client = connect(&format!("http://{proxy}"), &recorder, attempts).await;
        armed.store(true, Ordering::Relaxed);
        client.insert("rows", row()).await.unwrap();
        let spans = recorder.take();
        assert_eq!(spans.len(), 2, "gone away, {attempts} attempts: {spans:#?}");
        assert_eq!(
            text(&spans[0], "error.type").as_deref(),
            Some("UNAVAILABLE")
        );
        let inserts = fake.take_calls();
        let inserts = inserts
            .iter()
            .filter(|(method, _)| method == "Insert")
            .count();
        assert_eq!(inserts, 1, "the server saw it once");
    }
}

#[tokio::test]
async fn a_permanent_refusal_is_not_retried() {
    let fake = FakeMilvus::start(|method, _| match method {
        "HasCollection" => Reply::Refused,
        _ => fine(),
    })
    .await;
    let recorder = Recorder::default();
    let client = connect(&fake.uri(), &recorder, 3).await;
    client.has_collection("rows").await.unwrap_err();
    assert_eq!(
        recorder.take().len(),
        4,
        "three attempts, and the one that doesn't count"
    );
}

#[tokio::test]
async fn every_call_has_a_deadline_and_all_its_attempts_share_it() {
    let fake = FakeMilvus::start(|method, _| match method {
        "HasCollection" => Reply::Status(14),
        _ => fine(),
    })
    .await;
    let recorder = Recorder::default();
    let client = connect(&fake.uri(), &recorder, 1).await;
    fake.take_calls();
    let timeout = |calls: Vec<(String, http::HeaderMap)>| {
        let header = calls[0].1.get("grpc-timeout")?;
        let text = header.to_str().unwrap();
        let (number, unit) = text.split_at(text.len() - 1);
        let unit = match unit {
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            _ => 1.0,
        };
        Some(number.parse::<f64>().unwrap() * unit)
    };
    client.list_collections().await.unwrap();
    let default = timeout(fake.take_calls()).unwrap();
    assert!((59.0..=60.0).contains(&default), "{default}");
    client.with_timeout(None).list_collections().await.unwrap();
    assert_eq!(timeout(fake.take_calls()), None);

    let mut retry = Retry::attempts(1_000);
    retry.longest_pause = Duration::from_millis(40);
    let builder = MilvusClient::builder(fake.uri()).layer(recorder.layer());
    let client = builder.retry(retry).connect().await.unwrap();
    let brief = client.with_timeout(Duration::from_millis(300));
    let failed = brief.has_collection("rows").await.unwrap_err();
    assert!(failed.is_retriable(), "{failed}");
    // The deadline ended the attempts, not their number.
    let attempts = recorder.take().len();
    assert!((1..1_000).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn a_search_has_its_own_consistency_or_the_clients_or_the_collections() {
    let seen = Arc::<Mutex<Vec<(i32, bool, u64)>>>::default();
    let kept = Arc::clone(&seen);
    let fake = FakeMilvus::start(move |method, message| {
        let found = match method {
            "Search" => {
                let request = m::SearchRequest::decode(message).unwrap();
                let guarantee = request.guarantee_timestamp;
                (
                    request.consistency_level,
                    request.use_default_consistency,
                    guarantee,
                )
            }
            "Query" => {
                let request = m::QueryRequest::decode(message).unwrap();
                let guarantee = request.guarantee_timestamp;
                (
                    request.consistency_level,
                    request.use_default_consistency,
                    guarantee,
                )
            }
            _ => return fine(),
        };
        kept.lock().unwrap().push(found);
        fine()
    })
    .await;
    let client = connect(&fake.uri(), &Recorder::default(), 1).await;
    let bounded = client.with_consistency_level(ConsistencyLevel::Bounded);
    let strong = MilvusClient::builder(fake.uri())
        .consistency_level(ConsistencyLevel::Strong)
        .connect()
        .await
        .unwrap();
    let cases = [
        (&client, None, (0, true, 1)),
        (&client, Some(ConsistencyLevel::Strong), (0, false, 0)),
        (&bounded, None, (2, false, 2)),
        (&bounded, Some(ConsistencyLevel::Eventually), (3, false, 1)),
        (&strong, None, (0, false, 0)),
    ];
    for (client, own, expected) in cases {
        let mut search = client.search("rows", [[1.0, 2.0]]).field("vector");
        let mut query = client.query("rows").filter("id > 0");
        if let Some(level) = own {
            search = search.consistency_level(level);
            query = query.consistency_level(level);
        }
        search.await.unwrap();
        query.await.unwrap();
        let found = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(found, [expected, expected]);
    }
}

#[tokio::test]
async fn a_message_over_the_servers_limit_is_not_sent() {
    let fake = FakeMilvus::start(|_, _| fine()).await;
    let recorder = Recorder::default();
    let client = connect(&fake.uri(), &recorder, 1).await;
    fake.take_calls();
    let row = |bytes: usize| [json!({ "id": 1, "vector": [1, 2], "text": "x".repeat(bytes) })];
    let failed = client.insert("rows", row(64 << 20)).await.unwrap_err();
    assert!(matches!(failed.kind(), ErrorKind::Invalid(_)), "{failed}");
    let words = failed.to_string();
    let expected = "`insert` in `rows`: the message of `Insert` has 671089";
    assert!(words.starts_with(expected), "{words}");
    let expected = "the server takes 67108864 at most\n\nhint: send fewer rows";
    assert!(words.contains(expected), "{words}");
    assert_eq!((fake.take_calls().len(), recorder.take().len()), (0, 0));
    client.insert("rows", row(1 << 20)).await.unwrap();
}
