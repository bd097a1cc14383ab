//! What the records say.

use std::collections::BTreeMap;

use grpc_witness::{Ending, Line, Mended, Party, Reset, SCHEMA, Traffic};

use crate::peers::{call, client, message, request, server, witness};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";

#[tokio::test]
async fn a_call_is_recorded_as_it_was_sent() {
    let server = server().await;
    let between = witness(server.address, |_| ()).await;
    let client = client(between.address()).await;
    let mut sent = request("/test.S/Echo");
    let context = [
        ("traceparent", format!("{TRACEPARENT}03")),
        ("traceparent", format!("{TRACEPARENT}01")),
        ("tracestate", "dd=s:1".to_owned()),
        ("baggage", "a=b".to_owned()),
        ("b3", "0".to_owned()),
        ("uber-trace-id", "1:2:0:1".to_owned()),
        ("client-request-id", "r1".to_owned()),
    ];
    let others = [
        ("grpc-timeout", "4999m"),
        ("user-agent", "grpc-test/1"),
        ("authorization", "Bearer secret"),
        ("x-api-key", "secret"),
    ];
    let headers = sent.headers_mut();
    for (name, value) in &context {
        headers.append(*name, value.parse().expect("a value"));
    }
    for (name, value) in others {
        headers.append(name, value.parse().expect("a value"));
    }
    call(&client, sent, vec![message(b"one"), message(b"three")]).await;
    let file = between.file();
    drop(client);
    let seen = between.witness.stop().await.expect("stopped");
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(!text.contains("secret"), "{text}");
    let lines: Vec<Line> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect();
    let [
        Line::Witness(first),
        Line::Call(call),
        Line::Connection(connection),
        Line::End(end),
    ] = lines.as_slice()
    else {
        panic!("{text}");
    };
    assert_eq!(first.schema, SCHEMA);
    assert_eq!((end.stats.clone(), end.stats.calls), (seen, 1));
    assert_eq!((connection.calls, connection.out_of_sight), (1, None));
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in context {
        expected.entry(name.to_owned()).or_default().push(value);
    }
    assert_eq!(call.context, expected);
    assert_eq!(call.path, "/test.S/Echo");
    assert_eq!(call.authority, "test");
    assert_eq!(call.timeout.as_deref(), Some("4999m"));
    assert_eq!(call.user_agent.as_deref(), Some("grpc-test/1"));
    let traffic = Traffic {
        messages: 2,
        bytes: 8,
    };
    assert_eq!((call.request, call.response), (traffic, traffic));
    assert_eq!((call.http_status, call.grpc_status), (Some(200), Some(0)));
    assert_eq!((call.ending, call.trailers_only), (Ending::Answered, false));
    let times = [
        Some(first.began_unix_nano),
        Some(call.headers_unix_nano),
        call.half_close_unix_nano,
        Some(call.end_unix_nano),
        Some(connection.closed_unix_nano),
        Some(end.ended_unix_nano),
    ];
    assert!(times.is_sorted() && !times.contains(&None), "{times:?}");
    let answered = call.first_byte_unix_nano.expect("an answer");
    assert!((call.headers_unix_nano..=call.end_unix_nano).contains(&answered));
}

#[tokio::test]
async fn every_ending_is_told() {
    let mut server = server().await;
    let between = witness(server.address, |_| ()).await;
    let client_one = client(between.address()).await;
    for path in ["/test.S/TrailersOnly", "/test.S/Reset/7", "/test.S/Bare"] {
        call(&client_one, request(path), Vec::new()).await;
    }
    let mut ready = client_one.clone().ready().await.expect("open");
    let open = ready
        .send_request(request("/test.S/Wait"), false)
        .expect("sent");
    server.waiting.recv().await.expect("a call");
    let seen = between.stop().await;
    drop(open);
    let calls = seen.calls();
    let endings: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call.ending,
                call.grpc_status,
                call.trailers_only,
                call.half_close_unix_nano.is_some(),
            )
        })
        .collect();
    assert_eq!(
        endings,
        [
            (Ending::Answered, Some(5), true, true),
            (Ending::Reset, None, false, true),
            (Ending::Answered, None, false, true),
            (Ending::Open, None, false, false),
        ]
    );
    let code = "REFUSED_STREAM".to_owned();
    assert_eq!(
        calls[1].reset,
        Some(Reset {
            by: Party::Server,
            code
        })
    );
}

#[tokio::test]
async fn contexts_that_old_servers_drop_are_mended_where_it_is_asked_for() {
    let server = server().await;
    let check = async |mends: bool, sent: &[&str], expected: &[&str], mended: &[Mended]| {
        let between = witness(server.address, |config| config.mends = mends).await;
        let client = client(between.address()).await;
        let mut outcome = None;
        // The second refers to the first in its compressed headers.
        for _ in 0..2 {
            let mut request = request("/test.S/Contexts");
            for flags in sent {
                let value = format!("{TRACEPARENT}{flags}").parse().expect("a value");
                request.headers_mut().append("traceparent", value);
            }
            // Longer than a frame, so that it goes on in others.
            let long = "x".repeat(40_000).parse().expect("a value");
            request.headers_mut().append("long", long);
            outcome = Some(call(&client, request, vec![message(b"body")]).await);
        }
        let expected: Vec<String> = expected
            .iter()
            .map(|flags| format!("{TRACEPARENT}{flags}"))
            .collect();
        let outcome = outcome.expect("a call");
        assert_eq!(outcome.body, message(expected.join(" ").as_bytes()));
        let seen = between.stop().await;
        for call in seen.calls() {
            assert_eq!(call.mended, mended);
            assert_eq!(
                call.context.get("traceparent").map_or(0, Vec::len),
                sent.len()
            );
        }
    };
    let flags = [Mended::Flags];
    check(false, &["03", "01"], &["03", "01"], &[]).await;
    check(true, &["03"], &["01"], &flags).await;
    check(true, &["01"], &["01"], &[]).await;
    check(true, &[], &[], &[]).await;
    let both = [Mended::Flags, Mended::SecondTraceparent];
    check(true, &["03", "01"], &["01"], &both).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_counted() {
    let server = server().await;
    let between = witness(server.address, |config| config.records = "/dev/full".into()).await;
    let client = client(between.address()).await;
    let outcome = call(&client, request("/test.S/TrailersOnly"), Vec::new()).await;
    assert_eq!(outcome.error, None);
    let stats = between.witness.stop().await.expect("stopped");
    // The first line, the call, its connection and the last line.
    assert_eq!(stats.unwritten, 4);
    let why = stats.write_error.expect("a reason");
    assert!(why.contains("No space left"), "{why}");
}

#[tokio::test]
async fn calls_beyond_the_limit_pass_and_are_counted() {
    let mut server = server().await;
    let between = witness(server.address, |config| config.limits.calls = 3).await;
    let client = client(between.address()).await;
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client, request("/test.S/Wait"), Vec::new()).await })
        })
        .collect();
    for _ in 0..5 {
        server.waiting.recv().await.expect("a call");
    }
    server.signals.go_on.notify_waiters();
    for outcome in calls {
        assert_eq!(outcome.await.expect("a call").error, None);
    }
    let after = call(&client, request("/test.S/Unary"), vec![message(b"")]).await;
    assert_eq!(after.error, None);
    let seen = between.stop().await;
    assert_eq!(seen.calls().len(), 4);
    assert_eq!((seen.stats.calls, seen.stats.unrecorded_calls), (6, 2));
}
