//! No false alarms: harmless changes to a clean capture leave it clean.

use trace_parity::Severity;
use trace_parity_faults::variation;

use crate::support::{capture, judged};

const VARIATIONS: u64 = 1000;

#[test]
fn variations_of_a_clean_capture_are_clean() {
    let capture = capture("five-languages.jsonl");
    let half = |seeds: std::ops::Range<u64>| {
        for seed in seeds {
            let verdict = judged(&variation(&capture, seed), None);
            let loud = verdict
                .findings
                .iter()
                .any(|finding| finding.severity > Severity::Info);
            assert!(!loud, "variation {seed}: {:#?}", verdict.findings);
            assert!(!verdict.examples.is_empty(), "variation {seed}");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| half(0..VARIATIONS / 2));
        scope.spawn(|| half(VARIATIONS / 2..VARIATIONS));
    });
}

#[test]
fn the_same_input_gives_the_same_verdict() {
    let capture = capture("five-languages.jsonl");
    for seed in 0..8 {
        let bytes = variation(&capture, seed);
        assert_eq!(judged(&bytes, None), judged(&bytes, None));
    }
}
