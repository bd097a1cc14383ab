//! Large inputs, which are read on two threads.

use trace_parity::{Input, Outcome, read};
use trace_parity_faults::scaled;

use crate::support::{capture, judged};

#[test]
fn a_large_input_is_read_in_halves_with_the_same_result() {
    let lines = scaled(&capture("five-languages.jsonl"), 10_000, 1);
    assert!(lines.len() > 8 * 1024 * 1024);
    let mut document: Vec<u8> = b"{\"resourceSpans\":[".to_vec();
    for line in lines.split(|&byte| byte == b'\n') {
        // Each line is one request. Its elements are between the brackets.
        let groups = line.strip_prefix(b"{\"resourceSpans\":[");
        if let Some(groups) = groups.and_then(|line| line.strip_suffix(b"]}")) {
            document.extend_from_slice(groups);
            document.push(b',');
        }
    }
    document.pop();
    document.extend_from_slice(b"]}");
    let verdict = judged(&lines, None);
    assert_eq!(verdict.outcome, Outcome::Consistent);
    assert_eq!(verdict, judged(&document, None));
    // A problem has the right line number in both halves.
    let count = lines.split(|&byte| byte == b'\n').count() - 1;
    for wrong in [2, count] {
        let mut broken = Vec::new();
        for (number, line) in (1..).zip(lines.split_inclusive(|&byte| byte == b'\n')) {
            broken.extend_from_slice(if number == wrong {
                b"{\"a\":1}\n"
            } else {
                line
            });
        }
        let (_, problems) = read(&[Input {
            label: None,
            bytes: &broken,
        }]);
        let at: Vec<Option<u64>> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(at, [Some(wrong as u64)], "{problems:?}");
    }
}
