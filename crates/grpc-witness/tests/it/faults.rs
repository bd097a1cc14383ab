//! What a client sees of each fault, and what the records and the server tell of it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use grpc_witness::{CallRecord, Ending, FaultCount, Party, Plan};
use h2::Reason;
use tokio::net::TcpStream;

use crate::peers::{
    Between, LIMIT, Outcome, call, client, client_and_its_end, message, request, server, witness,
};

fn plan(text: &str) -> Plan {
    Plan::parse(text, |step| Err(format!("there is no step `{step}`"))).expect("a plan")
}

/// A plan of one fault, on the first call of `Unary`.
fn once(action: &str) -> Plan {
    plan(&format!(
        "[[fault]]\nname = \"it\"\nmethod = \"Unary\"\naction = {action}"
    ))
}

async fn playing(upstream: SocketAddr, plan: Plan) -> Between {
    witness(upstream, |config| config.faults = Some(plan)).await
}

async fn unary(client: &h2::client::SendRequest<bytes::Bytes>) -> Outcome {
    call(client, request("/test.S/Unary"), vec![message(b"hello")]).await
}

/// The status in the trailers, or in headers that are trailers.
fn status(outcome: &Outcome) -> Option<&str> {
    let ends = outcome.trailers.as_ref().or(outcome.headers.as_ref());
    ends?.get("grpc-status")?.to_str().ok()
}

fn assert_well(outcome: &Outcome) {
    assert_eq!(outcome.error, None);
    assert_eq!(status(outcome), Some("0"));
    assert_eq!(outcome.body, message(b"hello"));
}

/// One call with the fault, and one without on the same connection. Returns the first one's outcome and record.
async fn played_once(action: &str, is_seen_by_server: bool) -> (Outcome, CallRecord) {
    let server = server().await;
    let between = playing(server.address, once(action)).await;
    let client = client(between.address()).await;
    let outcome = unary(&client).await;
    assert_eq!(server.calls(), usize::from(is_seen_by_server), "{action}");
    assert_well(&unary(&client).await);
    drop(client);
    let seen = between.stop().await;
    let count = FaultCount {
        name: "it".to_owned(),
        client: None,
        calls: 2,
        played: 1,
    };
    assert_eq!(seen.stats.faults, [count]);
    let calls = seen.calls();
    let faults: Vec<Option<&str>> = calls.iter().map(|call| call.fault.as_deref()).collect();
    assert_eq!(faults, [Some("it"), None], "{action}");
    (outcome, calls[0].clone())
}

#[tokio::test]
async fn a_call_is_answered_with_trailers_alone() {
    let (outcome, record) = played_once(r#"{ answer = "UNAVAILABLE" }"#, false).await;
    assert_eq!(outcome.error, None);
    assert_eq!(status(&outcome), Some("14"));
    assert_eq!((outcome.body.len(), outcome.trailers.is_some()), (0, false));
    let headers = outcome.headers.expect("headers");
    assert_eq!(headers["grpc-message"], "fault it");
    assert_eq!((record.grpc_status, record.trailers_only), (Some(14), true));
    assert_eq!(record.ending, Ending::Answered);
    assert_eq!(record.request.messages, 1);
}

#[tokio::test]
async fn an_answer_ends_with_another_status() {
    let (outcome, record) = played_once(r#"{ trailers = "INTERNAL" }"#, true).await;
    assert_eq!(outcome.body, message(b"hello"));
    let trailers = outcome.trailers.expect("trailers");
    assert_eq!(trailers["grpc-status"], "13");
    assert_eq!(
        (record.grpc_status, record.trailers_only),
        (Some(13), false)
    );
    assert_eq!(record.response.messages, 1);
    // An answer that is trailers alone gets headers before them.
    let server = server().await;
    let all = "[[fault]]\nname = \"it\"\naction = { trailers = \"INTERNAL\" }";
    let between = playing(server.address, plan(all)).await;
    let client = client(between.address()).await;
    let outcome = call(&client, request("/test.S/TrailersOnly"), Vec::new()).await;
    assert_eq!(status(&outcome), Some("13"));
    assert!(outcome.trailers.is_some());
}

#[tokio::test]
async fn a_call_is_reset() {
    for (code, reason) in [
        ("REFUSED_STREAM", Reason::REFUSED_STREAM),
        ("CANCEL", Reason::CANCEL),
    ] {
        let action = format!("{{ reset = \"{code}\" }}");
        let (outcome, record) = played_once(&action, false).await;
        assert_eq!(outcome.error, Some((Some(reason), false, true)));
        let reset = record.reset.expect("a reset");
        assert_eq!((reset.by, reset.code.as_str()), (Party::Server, code));
    }
}

#[tokio::test]
async fn headers_are_stripped() {
    let server = server().await;
    let text = "[[fault]]\nname = \"it\"\nmethod = \"Contexts\"\naction = { strip = [\"traceparent\", \"absent\"] }";
    let between = playing(server.address, plan(text)).await;
    let client = client(between.address()).await;
    for expected in ["", "sent"] {
        let mut sent = request("/test.S/Contexts");
        let context = "sent".parse().expect("a value");
        sent.headers_mut().insert("traceparent", context);
        let outcome = call(&client, sent, vec![message(b"")]).await;
        assert_eq!(outcome.body, message(expected.as_bytes()));
    }
    let seen = between.stop().await;
    let calls = seen.calls();
    assert_eq!(calls[0].context["traceparent"], ["sent"]);
    assert_eq!(calls[0].stripped, ["traceparent"]);
    assert_eq!(calls[1].stripped, [""; 0]);
}

#[tokio::test]
async fn calls_fail_for_a_while_and_then_are_well() {
    let server = server().await;
    let text =
        "[[fault]]\nname = \"it\"\nfor = \"300ms\"\naction = { answer = \"RESOURCE_EXHAUSTED\" }";
    let between = playing(server.address, plan(text)).await;
    let client = client(between.address()).await;
    let began = Instant::now();
    assert_eq!(status(&unary(&client).await), Some("8"));
    let outcome = loop {
        let outcome = unary(&client).await;
        if status(&outcome) != Some("8") {
            break outcome;
        }
        assert!(began.elapsed() < LIMIT);
    };
    assert_well(&outcome);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_goaway_refuses_a_call_and_leaves_the_earlier_ones() {
    let mut server = server().await;
    let between = playing(server.address, once(r#"{ goaway = "refused" }"#)).await;
    let (client, end) = client_and_its_end(between.address()).await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { call(&client, request("/test.S/Wait"), Vec::new()).await }
    });
    server.waiting.recv().await.expect("a call");
    let refused = unary(&client).await;
    let (reason, is_go_away, _) = refused.error.expect("refused");
    assert_eq!((reason, is_go_away), (Some(Reason::NO_ERROR), true));
    server.signals.go_on.notify_waiters();
    assert_eq!(status(&waiting.await.expect("a call")), Some("0"));
    drop(client);
    assert!(end.await.expect("ended").is_ok());
    let seen = between.stop().await;
    let endings: Vec<Ending> = seen.calls().iter().map(|call| call.ending).collect();
    assert_eq!(endings, [Ending::Answered, Ending::Refused]);
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_graceful_goaway_lets_the_call_end() {
    let server = server().await;
    let between = playing(server.address, once(r#"{ goaway = "graceful" }"#)).await;
    let (client, end) = client_and_its_end(between.address()).await;
    assert_well(&unary(&client).await);
    assert!(unary(&client).await.error.is_some());
    end.await.expect("ended").expect("without an error");
    let seen = between.stop().await;
    let goaways = &seen.connections()[0].goaways;
    assert_eq!((goaways[0].last_stream, goaways[0].by), (1, Party::Server));
    assert_eq!(seen.calls()[0].fault.as_deref(), Some("it"));
}

#[tokio::test]
async fn a_connection_is_cut_in_place_of_the_answer() {
    let server = server().await;
    let between = playing(server.address, once("\"cut\"")).await;
    let first = client(between.address()).await;
    assert!(unary(&first).await.error.is_some());
    assert_eq!(server.calls(), 1);
    let second = client(between.address()).await;
    assert_well(&unary(&second).await);
    drop(second);
    let seen = between.stop().await;
    let calls = seen.calls();
    assert_eq!(
        (calls[0].ending, calls[1].ending),
        (Ending::Cut, Ending::Answered)
    );
    let errors: Vec<_> = seen
        .connections()
        .iter()
        .map(|one| one.error.clone())
        .collect();
    assert_eq!(errors, [Some("cut by a fault".to_owned()), None]);
}

#[tokio::test]
async fn an_answer_is_held_and_others_are_not() {
    let server = server().await;
    let check = async |action: &str, expected: u64| {
        let between = playing(server.address, once(action)).await;
        let client = client(between.address()).await;
        let mut late = request("/test.S/Unary");
        let timeout = "200m".parse().expect("a value");
        late.headers_mut().insert("grpc-timeout", timeout);
        let began = Instant::now();
        let late = tokio::spawn({
            let client = client.clone();
            async move {
                (
                    call(&client, late, vec![message(b"hello")]).await,
                    Instant::now(),
                )
            }
        });
        while between.witness.stats().faults[0].played == 0 {
            tokio::task::yield_now().await;
        }
        assert_well(&unary(&client).await);
        let other = Instant::now();
        let (outcome, end) = late.await.expect("a call");
        assert_well(&outcome);
        assert!(other < end);
        assert!(end - began >= Duration::from_millis(expected), "{action}");
    };
    check(r#"{ hold = "300ms" }"#, 300).await;
    check(r#"{ hold = "past-deadline" }"#, 450).await;
}

#[tokio::test]
async fn a_held_answer_of_a_cancelled_call_is_dropped() {
    let server = server().await;
    let text = "[[fault]]\nname = \"it\"\nmethod = \"Broken\"\naction = \"cut\"\n[[fault]]\nname = \"held\"\nmethod = \"Echo\"\ntimes = 60\naction = { hold = \"60s\" }";
    let between = playing(server.address, plan(text)).await;
    let client = client(between.address()).await;
    // Together more than the client's window of the connection.
    let long = message(&vec![7; 1 << 20]);
    for _ in 0..40 {
        let mut ready = client.clone().ready().await.expect("ready");
        let (answer, mut stream) = ready
            .send_request(request("/test.S/Echo"), false)
            .expect("sent");
        stream.send_data(long.clone(), true).expect("sent");
        tokio::time::sleep(Duration::from_millis(10)).await;
        stream.send_reset(Reason::CANCEL);
        drop(answer);
    }
    assert_well(&unary(&client).await);
}

#[tokio::test]
async fn requests_that_the_server_does_not_see_leave_the_window_open() {
    let server = server().await;
    let text = "[[fault]]\nname = \"it\"\nmethod = \"Echo\"\ntimes = 1000\naction = { answer = \"UNAVAILABLE\" }";
    let between = playing(server.address, plan(text)).await;
    let client = client(between.address()).await;
    // Together more than the server's window of the connection.
    let long = message(&vec![7; 1 << 20]);
    for _ in 0..50 {
        let outcome = call(&client, request("/test.S/Echo"), vec![long.clone()]).await;
        assert_eq!(status(&outcome), Some("14"));
    }
    assert_well(&unary(&client).await);
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let server = server().await;
    let is_refused = async |address: SocketAddr| {
        let connected = TcpStream::connect(address).await;
        connected.err().map(|error| error.kind()) == Some(ErrorKind::ConnectionRefused)
    };
    // Cuts the other connections, too.
    let between = playing(server.address, once(r#"{ refuse = "500ms" }"#)).await;
    let (idle, idle_end) = client_and_its_end(between.address()).await;
    let busy = client(between.address()).await;
    let began = Instant::now();
    assert!(unary(&busy).await.error.is_some());
    assert_eq!(server.calls(), 0);
    assert!(idle_end.await.expect("ended").is_err());
    drop(idle);
    assert!(is_refused(between.address()).await);
    while is_refused(between.address()).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(began.elapsed() < LIMIT);
    }
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_well(&unary(&client(between.address()).await).await);
    between.stop().await;
    // From the start on.
    let text = "[[fault]]\nname = \"down\"\naction = { refuse = \"60s\" }";
    let between = playing(server.address, plan(text)).await;
    let began = Instant::now();
    while !is_refused(between.address()).await {
        assert!(began.elapsed() < LIMIT);
    }
    assert_eq!(between.stop().await.stats.faults[0].played, 1);
}

#[tokio::test]
async fn a_slow_link_delays_both_directions_and_loses_nothing() {
    let server = server().await;
    let between = playing(server.address, plan("[link]\ndelay = \"40ms\"")).await;
    let client = client(between.address()).await;
    let began = Instant::now();
    assert_well(&unary(&client).await);
    assert!(began.elapsed() >= Duration::from_millis(80));
    let long = message(&vec![7; 3 << 20]);
    let parts = vec![long.clone(); 3];
    let outcome = call(&client, request("/test.S/Echo"), parts).await;
    assert_eq!(outcome.body, long.repeat(3));
}

#[tokio::test]
async fn calls_without_a_fault_are_as_without_a_plan() {
    let server = server().await;
    let text = "[[fault]]\nname = \"it\"\nmethod = \"Unary\"\nnth = 1\ntimes = 1000\naction = { answer = \"UNAVAILABLE\" }";
    let between = witness(server.address, |config| {
        config.faults = Some(plan(text));
        config.mends = true;
    })
    .await;
    let (direct, through) = (
        client(server.address).await,
        client(between.address()).await,
    );
    let long = message(&vec![7; 200_000]);
    let outcomes = async |client: &h2::client::SendRequest<bytes::Bytes>| {
        let calls: Vec<_> = (0..60)
            .map(|number| {
                let (client, long) = (client.clone(), long.clone());
                let path = ["Echo", "TrailersOnly", "Bare", "Reset/8"][number % 4];
                tokio::spawn(async move {
                    let path = format!("/test.S/{path}");
                    let faulty = unary(&client).await;
                    let outcome = call(&client, request(&path), vec![long.clone(), long]).await;
                    (faulty.headers.is_some(), outcome)
                })
            })
            .collect();
        let mut ended = Vec::new();
        for call in calls {
            ended.push(call.await.expect("a call"));
        }
        ended
    };
    let (direct, through) = (outcomes(&direct).await, outcomes(&through).await);
    for (direct, through) in direct.iter().zip(&through) {
        // The bodies are too long to print.
        assert!(
            direct == through,
            "{:?} and {:?}",
            direct.1.error,
            through.1.error
        );
    }
    assert_eq!(between.stop().await.stats.faults[0].played, 60);
}

#[tokio::test]
async fn each_named_client_has_a_port_and_faults_of_its_own() {
    let server = server().await;
    let between = witness(server.address, |config| {
        config.clients = vec!["one".to_owned(), "two".to_owned()];
        config.faults = Some(once(r#"{ answer = "UNAVAILABLE" }"#));
    })
    .await;
    let ports: Vec<(String, SocketAddr)> = between
        .witness
        .clients()
        .map(|(name, address)| (name.to_owned(), address))
        .collect();
    for (_, address) in &ports {
        let client = client(*address).await;
        assert_eq!(status(&unary(&client).await), Some("14"));
        assert_well(&unary(&client).await);
    }
    let seen = between.stop().await;
    let told: Vec<_> = seen
        .calls()
        .iter()
        .map(|call| (call.connection, call.client.clone(), call.grpc_status))
        .collect();
    let (one, two) = (Some("one".to_owned()), Some("two".to_owned()));
    assert_eq!(
        told,
        [
            (1, one.clone(), Some(14)),
            (1, one.clone(), Some(0)),
            (2, two.clone(), Some(14)),
            (2, two.clone(), Some(0)),
        ]
    );
    let played: Vec<_> = seen
        .stats
        .faults
        .iter()
        .map(|one| (one.client.clone(), one.played))
        .collect();
    assert_eq!(played, [(one, 1), (two, 1)]);
}

#[tokio::test]
async fn the_server_first_gets_the_request_as_another_methods() {
    let (outcome, record) = {
        let server = server().await;
        let between = playing(server.address, once(r#"{ first = "Noted" }"#)).await;
        let client = client(between.address()).await;
        let mut sent = request("/test.S/Unary");
        let context = "00-a-b-01".parse().expect("a value");
        sent.headers_mut().insert("traceparent", context);
        let outcome = call(&client, sent, vec![message(b"hel"), message(b"lo")]).await;
        assert_well(&unary(&client).await);
        let noted = server.signals.noted.lock().expect("no panic").clone();
        let whole = [message(b"hel"), message(b"lo")].concat();
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0].0, whole);
        assert!(noted[0].1.ends_with("-00"), "{}", noted[0].1);
        assert_eq!(outcome.body, whole);
        assert_eq!(server.calls(), 3);
        (outcome, between.stop().await.calls()[0].clone())
    };
    assert_eq!(status(&outcome), Some("0"));
    assert_eq!(record.fault.as_deref(), Some("it"));
    assert_eq!(record.context["traceparent"], ["00-a-b-01"]);
    assert_eq!(
        (record.request.messages, record.ending),
        (2, Ending::Answered)
    );
}

#[tokio::test]
async fn a_first_request_that_fails_cuts_the_connection() {
    let server = server().await;
    let between = playing(server.address, once(r#"{ first = "TrailersOnly" }"#)).await;
    let client = client(between.address()).await;
    let outcome = unary(&client).await;
    assert!(outcome.error.is_some(), "{outcome:?}");
    let seen = between.stop().await;
    let error = seen.connections()[0].error.clone();
    assert_eq!(
        error.as_deref(),
        Some("calling TrailersOnly before: status 5")
    );
}

#[tokio::test]
async fn a_text_in_a_request_is_replaced() {
    let check = async |action: &str, expected: &[u8], played: u64| {
        let server = server().await;
        let between = playing(server.address, once(action)).await;
        let client = client(between.address()).await;
        let outcome = unary(&client).await;
        assert_eq!(outcome.body, message(expected), "{action}");
        assert_well(&unary(&client).await);
        let stats = between.stop().await.stats;
        assert_eq!(stats.faults[0].played, played, "{action}");
    };
    check(r#"{ replace = ["ell", "ipp"] }"#, b"hippo", 1).await;
    check(r#"{ replace = ["hello", "there"] }"#, b"there", 1).await;
    check(r#"{ replace = ["hullo", "there"] }"#, b"hello", 0).await;
}
