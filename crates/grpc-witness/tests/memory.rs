//! Memory stays bounded whatever a slow reader leaves. Alone in its process, whose memory is measured.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use grpc_witness::{Config, Witness};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// The beginning of HTTP/2, and empty settings.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The head of a DATA frame of 16 KiB, of stream 1.
const HEAD: [u8; 9] = [0, 0x40, 0, 0, 0, 0, 0, 0, 1];

const LIMIT: Duration = Duration::from_secs(60);

/// The resident memory of this process, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).expect("a second number");
    pages.parse::<u64>().expect("a number") * 4096
}

#[tokio::test]
async fn a_slow_reader_slows_its_sender_and_takes_no_memory() {
    const CONNECTIONS: u64 = 10;
    let frame = [HEAD.as_slice(), &[0; 16 << 10]].concat();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    // Accepts and never reads.
    let slow = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            open.push(socket);
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config::new(address.to_string(), folder.path().join("wire.jsonl"));
    let witness = Witness::start(config).await.expect("started");
    let before = resident();
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut sender = TcpStream::connect(witness.address())
            .await
            .expect("connected");
        sender.write_all(BEGINNING).await.expect("written");
        senders.push(sender);
    }
    // A sender that can send nothing for so long is held up.
    let held_up = Duration::from_millis(500);
    let began = Instant::now();
    let mut sent = 0_u64;
    for sender in &mut senders {
        while let Ok(written) = tokio::time::timeout(held_up, sender.write_all(&frame)).await {
            written.expect("written");
            sent += frame.len() as u64;
            assert!(
                began.elapsed() < LIMIT,
                "{sent} bytes were sent, and nobody was held up"
            );
        }
    }
    let grown = resident().saturating_sub(before);
    // A chunk is 64 KiB; what the system holds in its sockets isn't this process's.
    let bound = CONNECTIONS * 2 * (64 << 10) + (1 << 20);
    println!("{sent} bytes were sent, and memory grew by {grown}");
    assert!(
        grown < bound,
        "{sent} bytes were sent, and memory grew by {grown}"
    );
    slow.abort();
    drop(senders);
    witness.stop().await.expect("stopped");
}
