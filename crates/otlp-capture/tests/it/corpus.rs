//! The fuzzers' corpus, as an ordinary test.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzzers use it as a library")]
mod properties;

use otlp_capture::Signal;
use otlp_capture::transcode::{json_to_protobuf, protobuf_to_json};
use std::fs;
use std::path::Path;

fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(dir)
        .expect("a corpus")
        .map(|entry| entry.expect("a file"));
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().expect("text"),
                fs::read(entry.path()).expect("a file"),
            )
        })
        .collect()
}

#[test]
fn every_input_of_the_corpus_has_the_properties() {
    fn check(target: &str, property: fn(&[u8])) {
        let files = files(target);
        assert!(files.len() >= 8, "{target}");
        for (name, data) in files {
            // The test runner shows this only on failure.
            println!("{target}/{name}");
            property(&data);
        }
    }
    check("protobuf", properties::protobuf);
    check("json", properties::json);
}

#[test]
fn a_request_with_every_field_round_trips_byte_for_byte() {
    for (name, data) in files("json") {
        if let Some(signal) = name.strip_suffix("_everything") {
            let signal = Signal::ALL
                .into_iter()
                .find(|of| of.http_path().ends_with(signal))
                .expect("a signal");
            let (mut protobuf, mut line) = (Vec::new(), Vec::new());
            json_to_protobuf(signal, &data[1..], &mut protobuf).expect("a request");
            protobuf_to_json(signal, &protobuf, &mut line).expect("a request");
            assert_eq!(
                String::from_utf8_lossy(&line),
                String::from_utf8_lossy(&data[1..]),
                "{name}"
            );
        }
    }
}
