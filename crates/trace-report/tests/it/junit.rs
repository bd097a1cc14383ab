//! JUnit XML, read back by a parser that is not ours.

use insta::assert_snapshot;
use proptest::prelude::*;
use roxmltree::{Document, Node};
use trace_parity::{Finding, Rule, Severity};
use trace_report::{Run, junit};

use crate::build;

fn errors_fail(run: &Run) -> String {
    junit(run, Severity::Error)
}

#[test]
fn consistent() {
    assert_snapshot!(errors_fail(&build::consistent()));
}

#[test]
fn context_lost() {
    assert_snapshot!(errors_fail(&build::context_lost()));
}

#[test]
fn could_not_run() {
    assert_snapshot!(errors_fail(&build::could_not_run()));
}

#[test]
fn nothing_to_judge() {
    let mut run = build::could_not_run();
    run.examples.clear();
    run.verdict.examples.clear();
    assert_snapshot!(errors_fail(&run));
}

/// Names of the failing cases, each as `class name`.
fn failing(xml: &str) -> Vec<String> {
    let document = Document::parse(xml).unwrap();
    let cases = document
        .descendants()
        .filter(|node| node.has_tag_name("failure"))
        .filter_map(|node| node.parent());
    cases
        .map(|case| {
            format!(
                "{} {}",
                case.attribute("classname").unwrap(),
                case.attribute("name").unwrap()
            )
        })
        .collect()
}

#[test]
fn a_warning_fails_only_where_it_is_asked_to() {
    let warning = Finding {
        severity: Severity::Warning,
        ..build::finding(Rule::AttributeRenamed, "rust", Some("search"), "renamed")
    };
    let run = build::failing(build::consistent(), vec![warning]);
    assert_eq!(failing(&junit(&run, Severity::Error)), Vec::<String>::new());
    assert_eq!(
        failing(&junit(&run, Severity::Warning)),
        ["rust.vocabulary search"]
    );
}

#[test]
fn every_finding_is_somewhere() {
    let mut findings = vec![
        build::finding(
            Rule::MissingStep,
            "go",
            Some("a step that no row has"),
            "m1",
        ),
        build::finding(Rule::OrphanSpan, "nobody", None, "m2"),
    ];
    let everybody = Finding {
        example: None,
        ..build::finding(Rule::DroppedSpans, "", None, "m3")
    };
    findings.push(everybody);
    let xml = errors_fail(&build::failing(build::consistent(), findings));
    assert_eq!(
        failing(&xml),
        [
            "go.scenario a step that no row has",
            "run.delivery trace",
            "run.structure trace"
        ]
    );
}

fn attribute(node: Node<'_, '_>, name: &str) -> usize {
    node.attribute(name).unwrap().parse().unwrap()
}

/// What a suite's attributes count is what stands in it.
fn check_counts(xml: &str) {
    let document = Document::parse(xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
    let root = document.root_element();
    let suites: Vec<_> = root
        .children()
        .filter(|node| node.has_tag_name("testsuite"))
        .collect();
    for (counter, tag) in [
        ("tests", "testcase"),
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ] {
        let count = |node: Node<'_, '_>| {
            node.descendants()
                .filter(|node| node.has_tag_name(tag))
                .count()
        };
        assert_eq!(attribute(root, counter), count(root));
        for suite in &suites {
            assert_eq!(attribute(*suite, counter), count(*suite));
        }
    }
    for suite in suites {
        let mut names: Vec<_> = suite
            .descendants()
            .filter(|node| node.has_tag_name("testcase"))
            .map(|case| (case.attribute("classname"), case.attribute("name")))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "two cases have one name");
    }
}

#[test]
fn the_counts_are_right() {
    for run in [
        build::consistent(),
        build::context_lost(),
        build::example_failed(),
        build::could_not_run(),
    ] {
        check_counts(&errors_fail(&run));
    }
}

/// The elements, without their text.
fn shape(xml: &str) -> Vec<String> {
    let document = Document::parse(xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
    document
        .descendants()
        .filter(Node::is_element)
        .map(|node| node.tag_name().name().to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_changes_the_document(text in any::<String>()) {
        let harmless = shape(&errors_fail(&build::hostile("harmless")));
        prop_assert_eq!(shape(&errors_fail(&build::hostile(&format!("x{text}")))), harmless);
    }
}

#[test]
fn what_breaks_xml_does_not() {
    for text in build::NASTY {
        assert_eq!(
            shape(&errors_fail(&build::hostile(text))),
            shape(&errors_fail(&build::hostile("harmless"))),
            "{text:?}"
        );
    }
}
