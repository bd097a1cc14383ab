//! Real captures and what is said of them.

use crate::support::{capture, judged, text};

#[test]
fn five_languages_are_consistent() {
    insta::assert_snapshot!(text(&judged(&capture("five-languages.jsonl"), None)));
}

#[test]
fn the_java_agent_that_loses_context() {
    insta::assert_snapshot!(text(&judged(&capture("java-context-lost.jsonl"), None)));
}
