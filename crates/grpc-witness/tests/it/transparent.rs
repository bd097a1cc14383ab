//! What client and server see is the same with and without a witness.

use bytes::Bytes;
use grpc_witness::{Ending, Party};
use h2::Reason;

use crate::peers::{
    LIMIT, Outcome, call, client, client_and_its_end, message, request, server, witness,
};

/// The same call, made straight and through a witness.
async fn both(path: &str, parts: &[Bytes]) -> [Outcome; 2] {
    let server = server().await;
    let between = witness(server.address, |_| ()).await;
    let mut seen = Vec::new();
    for address in [server.address, between.address()] {
        let client = client(address).await;
        seen.push(call(&client, request(path), parts.to_vec()).await);
    }
    between.stop().await;
    seen.try_into().expect("two")
}

async fn check(path: &str, parts: &[Bytes], is_right: impl FnOnce(&Outcome) -> bool) {
    let [straight, through] = both(path, parts).await;
    assert!(is_right(&straight), "{path}: {straight:?}");
    assert_eq!(straight, through, "{path}");
}

#[tokio::test]
async fn every_kind_of_call_ends_alike() {
    let ok = |outcome: &Outcome| {
        let trailers = outcome.trailers.as_ref();
        trailers.is_some_and(|trailers| trailers["grpc-status"] == "0")
    };
    let messages: Vec<Bytes> = (0..50_usize)
        .map(|size| message(&vec![7; size * size]))
        .collect();
    check("/test.S/Unary", &messages[..1], ok).await;
    check("/test.S/Unary", &messages, ok).await;
    check("/test.S/Echo", &messages, ok).await;
    check("/test.S/Echo", &[], ok).await;
    check("/test.S/Bare", &[], |outcome| outcome.trailers.is_none()).await;
    check("/test.S/TrailersOnly", &[], |outcome| {
        let headers = outcome.headers.as_ref();
        headers.is_some_and(|headers| headers["grpc-status"] == "5") && outcome.trailers.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_message_of_four_mebibytes_passes_both_ways() {
    let large: Vec<u8> = (0..4_usize << 20).map(|at| (at % 251) as u8).collect();
    let parts = [message(&large)];
    check("/test.S/Echo", &parts, |outcome| outcome.body == parts[0]).await;
}

#[tokio::test]
async fn a_reset_by_the_server_has_its_code() {
    for code in [0, 1, 2, 7, 8, 11, 13, 99] {
        for what in ["Reset", "Broken"] {
            let path = format!("/test.S/{what}/{code}");
            let parts = [message(b"go"), message(b"on")];
            let expected = Some(Reason::from(code));
            check(&path, &parts, |outcome| {
                outcome.error.is_some_and(|(reason, ..)| reason == expected)
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_reset_by_the_client_has_its_code() {
    for code in [0, 2, 7, 8, 11, 99] {
        let mut server = server().await;
        let between = witness(server.address, |_| ()).await;
        let mut client = client(between.address()).await.ready().await.expect("open");
        let (response, mut stream) = client
            .send_request(request("/test.S/Hang"), false)
            .expect("sent");
        response.await.expect("an answer");
        stream.send_reset(Reason::from(code));
        let told = tokio::time::timeout(LIMIT, server.resets.recv()).await;
        assert_eq!(told.expect("in time"), Some(Some(Reason::from(code))));
        drop(client);
        let seen = between.stop().await;
        let reset = seen.calls()[0].reset.clone().expect("a reset");
        assert_eq!(reset.by, Party::Client);
        assert_eq!(seen.calls()[0].ending, Ending::Reset);
    }
}

#[tokio::test]
async fn a_server_that_goes_away_finishes_what_is_going_on() {
    let mut server = server().await;
    let between = witness(server.address, |_| ()).await;
    let client = client(between.address()).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client, request("/test.S/Wait"), Vec::new()).await })
        })
        .collect();
    for _ in 0..20 {
        server.waiting.recv().await.expect("a call");
    }
    server.signals.go_away.notify_waiters();
    // A client that was told so begins nothing more.
    let refused = async {
        while call(&client, request("/test.S/TrailersOnly"), Vec::new())
            .await
            .error
            .is_none()
        {}
    };
    tokio::time::timeout(LIMIT, refused).await.expect("in time");
    server.signals.go_on.notify_waiters();
    for outcome in calls {
        let outcome = outcome.await.expect("a call");
        assert_eq!(outcome.error, None);
    }
    let seen = between.stop().await;
    let goaways = &seen.connections()[0].goaways;
    assert_eq!(
        goaways.first().map(|goaway| goaway.code.as_str()),
        Some("NO_ERROR")
    );
    assert!(
        seen.calls()
            .iter()
            .all(|call| call.ending == Ending::Answered)
    );
}

#[tokio::test]
async fn a_server_that_breaks_off_says_why() {
    let mut server = server().await;
    let between = witness(server.address, |_| ()).await;
    for address in [server.address, between.address()] {
        let (client, end) = client_and_its_end(address).await;
        let waiting =
            tokio::spawn(async move { call(&client, request("/test.S/Wait"), Vec::new()).await });
        server.waiting.recv().await.expect("a call");
        server.signals.break_off.notify_waiters();
        assert!(waiting.await.expect("a call").error.is_some());
        let error = end.await.expect("a connection").expect_err("broken off");
        assert!(error.is_go_away() && error.is_remote(), "{error}");
        assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    }
    let seen = between.stop().await;
    assert_eq!(seen.connections()[0].goaways[0].code, "ENHANCE_YOUR_CALM");
}

#[tokio::test]
async fn ten_thousand_streams_at_once_pass_and_have_their_records() {
    const STREAMS: usize = 10_000;
    let mut server = server().await;
    let between = witness(server.address, |_| ()).await;
    let client = client(between.address()).await;
    let calls: Vec<_> = (0..STREAMS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client, request("/test.S/Wait"), Vec::new()).await })
        })
        .collect();
    for _ in 0..STREAMS {
        server.waiting.recv().await.expect("a call");
    }
    server.signals.go_on.notify_waiters();
    for outcome in calls {
        assert_eq!(outcome.await.expect("a call").error, None);
    }
    let seen = between.stop().await;
    assert_eq!(seen.stats.calls, STREAMS as u64);
    let answered = seen
        .calls()
        .iter()
        .filter(|call| call.grpc_status == Some(0))
        .count();
    assert_eq!(answered, STREAMS);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_as_a_broken_connection() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let between = witness(address, |_| ()).await;
    let socket = tokio::net::TcpStream::connect(between.address())
        .await
        .expect("connected");
    let read = tokio::time::timeout(LIMIT, socket.readable()).await;
    read.expect("in time").expect("a connection");
    let error = socket.try_read(&mut [0; 8]).expect_err("broken off");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let seen = between.stop().await;
    let error = seen.connections()[0].error.clone().expect("an error");
    assert!(error.contains("refused"), "{error}");
}
