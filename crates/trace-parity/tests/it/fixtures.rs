//! Verdicts on real captures.

use crate::support::{capture, judged, text};

#[test]
fn five_languages_are_consistent() {
    insta::assert_snapshot!(text(&judged(&capture("five-languages.jsonl"), None)));
}

#[test]
fn a_java_agent_that_loses_context_has_one_finding() {
    insta::assert_snapshot!(text(&judged(&capture("java-context-lost.jsonl"), None)));
}
