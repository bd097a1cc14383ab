//! Properties that must hold for any input. The fuzzers try to violate them; a test checks them on
//! the corpus.

use otlp_capture::Signal;
use otlp_capture::transcode::{json_to_protobuf, protobuf_to_json};

/// Any bytes as a protobuf request. The first byte selects the signal.
pub fn protobuf(data: &[u8]) {
    let Some((signal, request)) = split(data) else {
        return;
    };
    let mut line = Vec::new();
    match protobuf_to_json(signal, request, &mut line) {
        Ok(_) => is_stable(signal, &line),
        Err(_) => assert!(line.is_empty(), "a refused request leaves nothing behind"),
    }
}

/// Any bytes as a JSON request. The first byte selects the signal.
pub fn json(data: &[u8]) {
    let Some((signal, request)) = split(data) else {
        return;
    };
    let mut protobuf = Vec::new();
    if json_to_protobuf(signal, request, &mut protobuf).is_err() {
        assert!(
            protobuf.is_empty(),
            "a refused request leaves nothing behind"
        );
        return;
    }
    let mut line = Vec::new();
    protobuf_to_json(signal, &protobuf, &mut line).expect("what was made is a request");
    is_stable(signal, &line);
}

fn split(data: &[u8]) -> Option<(Signal, &[u8])> {
    let (first, request) = data.split_first()?;
    Some((Signal::ALL[usize::from(first % 3)], request))
}

/// A line is a single line and valid JSON, and stays the same when it is read and written again.
fn is_stable(signal: Signal, line: &[u8]) {
    assert!(!line.contains(&b'\n'), "one line");
    serde_json::from_slice::<serde::de::IgnoredAny>(line).expect("JSON");
    let (mut protobuf, mut again) = (Vec::new(), Vec::new());
    json_to_protobuf(signal, line, &mut protobuf).expect("what was written can be read");
    protobuf_to_json(signal, &protobuf, &mut again).expect("what was made is a request");
    assert_eq!(
        String::from_utf8_lossy(line),
        String::from_utf8_lossy(&again)
    );
}
