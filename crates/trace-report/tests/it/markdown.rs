//! Markdown, read by a third-party parser.

use insta::assert_snapshot;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag};
use trace_parity::Rule;
use trace_report::{Run, markdown};

use crate::build;

#[test]
fn consistent() {
    assert_snapshot!(markdown(&build::consistent()));
}

#[test]
fn metrics_and_logs() {
    assert_snapshot!(markdown(&build::with_signals()));
}

#[test]
fn no_contract_tells_operations() {
    assert_snapshot!(markdown(&build::with_operations()));
}

#[test]
fn context_lost() {
    assert_snapshot!(markdown(&build::context_lost()));
}

#[test]
fn example_failed() {
    assert_snapshot!(markdown(&build::example_failed()));
}

#[test]
fn could_not_run() {
    assert_snapshot!(markdown(&build::could_not_run()));
}

#[test]
fn hostile() {
    assert_snapshot!(markdown(&build::hostile("<b>|`@org/team` #1\n::error::")));
}

fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    Parser::new_ext(
        text,
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS,
    )
}

/// The document's blocks and tables, without text and inline formatting.
fn shape(run: &Run) -> Vec<String> {
    let text = markdown(run);
    let shape = events(&text).filter_map(|event| match event {
        Event::Start(Tag::CodeBlock(_)) => Some("code block".to_owned()),
        Event::Start(tag) => Some(format!("{tag:?}")),
        Event::Html(html) | Event::InlineHtml(html) => Some(html.to_string()),
        _ => None,
    });
    // An unusual name is code, and an empty one is emphasized.
    shape.filter(|tag| tag != "Emphasis").collect()
}

/// Text that GitHub would link: a mention, a reference or an address outside of code.
fn linkable(run: &Run) -> Vec<String> {
    let text = markdown(run);
    let mut in_block = false;
    let mut found = Vec::new();
    for event in events(&text) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_block = true,
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_block = false,
            Event::Text(text)
                if !in_block
                    && ["@", "#", "://", "www."]
                        .iter()
                        .any(|mark| text.contains(mark)) =>
            {
                found.push(text.to_string());
            }
            _ => {}
        }
    }
    found
}

#[test]
fn nasty_text_changes_no_layout_and_links_nothing() {
    for text in build::NASTY {
        let run = build::hostile(text);
        assert_eq!(shape(&run), shape(&build::hostile("harmless")), "{text:?}");
        assert_eq!(linkable(&run), Vec::<String>::new(), "{text:?}");
    }
}

#[test]
fn the_comment_fits_githubs_limit() {
    let findings = (0..500)
        .map(|_| build::finding(Rule::OrphanSpan, "go", None, &"🩰".repeat(10_000)))
        .collect();
    let mut run = build::failing(build::hostile(&"🩰".repeat(1 << 18)), findings);
    let example = run.verdict.examples[0].clone();
    run.verdict.examples.extend(vec![example; 200]);
    for row in &mut run.verdict.steps {
        row.cells.resize(run.verdict.examples.len(), None);
    }
    let text = markdown(&run);
    assert!(
        text.chars().count() < 65_536 && text.len() < 65_536,
        "{}",
        text.len()
    );
    assert!(text.contains("left out for its size"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_changes_the_layout_or_links_anything(text in any::<String>()) {
        let run = build::hostile(&format!("x{text}"));
        prop_assert_eq!(shape(&run), shape(&build::hostile("harmless")));
        prop_assert_eq!(linkable(&run), Vec::<String>::new());
    }
}
