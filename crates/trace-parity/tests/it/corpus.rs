//! The fuzz targets' corpus, and seeded mutations of it: nothing panics, hangs, or is said of a line that isn't there.
//!
//! `cargo fuzz run TARGET` in `fuzz/` goes on from here.

use std::path::Path;

use trace_parity::{Contract, Input, judge, read};

const MUTATIONS: u64 = 200;

fn read_and_judge(bytes: &[u8]) {
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    let verdict = judge(&traces, &problems, Some(&Contract::builtin()), None);
    for finding in &verdict.findings {
        assert!(
            finding.input_line != Some(0) && finding.count > 0,
            "{finding:?}"
        );
    }
}

fn target(name: &str, data: &[u8]) {
    match name {
        "otlp_json" => read_and_judge(&[b"{", data].concat()),
        "otlp_proto" => read_and_judge(&[&(data.len() as u32).to_be_bytes()[..], data].concat()),
        "jaeger_json" => read_and_judge(&[b"{\"data\":[", data].concat()),
        "compressed" => read_and_judge(&[&[0x1f, 0x8b, 8], data].concat()),
        "contract" => {
            let text = String::from_utf8_lossy(data);
            if let Err(error) = Contract::parse(&text) {
                assert!(
                    (1..=1 + text.matches('\n').count()).contains(&error.line),
                    "{error}"
                );
            }
        }
        _ => panic!("there is no target {name}"),
    }
}

/// Flips, cuts, repeats or moves a stretch.
fn mutated(data: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound.max(1) as u64) as usize
    };
    let mut data = data.to_vec();
    for _ in 0..=below(4) {
        let at = below(data.len());
        let end = at + below((data.len() - at).min(40));
        match below(4) {
            0 if at < data.len() => data[at] = below(256) as u8,
            1 => drop(data.drain(at..end)),
            2 => {
                let stretch = data[at..end].to_vec();
                data.splice(at..at, stretch);
            }
            _ => data.truncate(at),
        }
    }
    data
}

#[test]
fn the_corpus_and_what_is_near_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let entries = |path: &Path| {
        std::fs::read_dir(path)
            .expect("the corpus is there")
            .map(|entry| entry.expect("it is").path())
    };
    let mut seen = 0;
    for folder in entries(&corpus) {
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned();
        for file in entries(&folder) {
            let data = std::fs::read(&file).expect("it is there");
            target(&name, &data);
            (0..MUTATIONS).for_each(|seed| target(&name, &mutated(&data, seed)));
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen}");
}
