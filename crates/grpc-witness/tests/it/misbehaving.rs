//! A peer that doesn't speak HTTP/2, or not rightly, ends its own connection and nothing else.

use std::net::SocketAddr;

use grpc_witness::{Config, OutOfSight, Plan};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::peers::{LIMIT, call, client, message, request, server, witness};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Sends bytes, and reads until the other side closes.
async fn send(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.expect("connected");
    let mut answer = Vec::new();
    // The other side may break off at any moment.
    let _ = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    let read = tokio::time::timeout(LIMIT, socket.read_to_end(&mut answer)).await;
    let _ = read.expect("in time");
    answer
}

#[tokio::test]
async fn random_bytes_end_their_own_connection_alone() {
    for has_faults in [false, true] {
        random_bytes(has_faults).await;
    }
}

async fn random_bytes(has_faults: bool) {
    let server = server().await;
    let set = |config: &mut Config| {
        let text = "[[fault]]\nname = \"f\"\nmethod = \"None\"\naction = \"cut\"";
        let plan = Plan::parse(text, |step| Err(step.to_owned())).expect("a plan");
        config.faults = has_faults.then_some(plan);
    };
    let between = witness(server.address, set).await;
    let address = between.address();
    let client = client(address).await;
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for round in 0..100_usize {
        let mut bytes = vec![0; round * 7 + 1];
        random.fill_bytes(&mut bytes);
        let begun = [PREFACE, &bytes].concat();
        tokio::join!(send(address, &bytes), send(address, &begun));
        let good = call(&client, request("/test.S/Unary"), vec![message(&bytes)]).await;
        assert_eq!(good.error, None);
        assert_eq!(good.body, message(&bytes));
    }
    drop(client);
    let seen = between.stop().await;
    assert_eq!(
        seen.calls()
            .iter()
            .filter(|call| call.path == "/test.S/Unary")
            .count(),
        100
    );
    assert_eq!(seen.stats.connections, 201);
    let own = seen
        .connections()
        .into_iter()
        .find(|connection| connection.connection == 1);
    assert_eq!(own.and_then(|own| own.out_of_sight), None);
}

#[tokio::test]
async fn what_cannot_be_read_is_passed_on_and_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            socket.read_to_end(&mut bytes).await.expect("read");
            bytes.reverse();
            socket.write_all(&bytes).await.expect("written");
        }
    });
    let text = "[[fault]]\nname = \"f\"\nmethod = \"None\"\naction = \"cut\"";
    let plan = Plan::parse(text, |step| Err(step.to_owned())).expect("a plan");
    for (mends, faults) in [(false, None), (true, None), (true, Some(plan))] {
        let check = async |bytes: &[u8], expected: OutOfSight| {
            let between = witness(address, |config| {
                config.mends = mends;
                config.faults.clone_from(&faults);
            })
            .await;
            let mut answer = send(between.address(), bytes).await;
            answer.reverse();
            assert_eq!(answer, bytes);
            let seen = between.stop().await;
            let told = seen.connections()[0].out_of_sight;
            assert_eq!((told, seen.stats.out_of_sight), (Some(expected), 1));
        };
        check(b"\x16\x03\x01\x00\x05hello", OutOfSight::Tls).await;
        check(b"GET / HTTP/1.1\r\n\r\n", OutOfSight::Http1).await;
        check(b"PRI * HTTP/2.0\r\n\r\nXX", OutOfSight::Http1).await;
        check(b"\0\x01\x02", OutOfSight::NotHttp2).await;
    }
}
