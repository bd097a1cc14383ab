//! JUnit XML, read by third-party parsers.

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
fn a_warning_fails_only_on_request() {
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
fn every_finding_is_in_the_report() {
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

/// Checks that the counts in a suite's attributes match its cases.
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

/// A report as a JUnit reader sees it: suite, class, case, result, message.
type Reading = Vec<[String; 5]>;

fn read_by_junit_parser(xml: &str) -> Reading {
    use junit_parser::TestStatus::{Error, Failure, Skipped, Success};
    let report = junit_parser::from_reader(xml.as_bytes()).unwrap();
    let cases = report.suites.into_iter().flat_map(|suite| {
        suite
            .cases
            .into_iter()
            .map(move |case| (suite.name.clone(), case))
    });
    cases
        .map(|(suite, case)| {
            let (result, message) = match case.status {
                Success => ("passed", String::new()),
                Error(error) => ("error", error.message),
                Failure(failure) => ("failure", failure.message),
                Skipped(skipped) => ("skipped", skipped.message),
            };
            [
                suite,
                case.classname.unwrap_or_default(),
                case.original_name,
                result.to_owned(),
                message,
            ]
        })
        .collect()
}

fn read_by_quick_junit(xml: &str) -> Reading {
    use quick_junit::{NonSuccessKind, TestCaseStatus};
    let report = quick_junit::Report::deserialize_from_str(xml).unwrap();
    let cases = report.test_suites.into_iter().flat_map(|suite| {
        suite
            .test_cases
            .into_iter()
            .map(move |case| (suite.name.clone(), case))
    });
    let text = |text: Option<quick_junit::XmlString>| {
        text.map(quick_junit::XmlString::into_string)
            .unwrap_or_default()
    };
    cases
        .map(|(suite, case)| {
            let (result, message) = match case.status {
                TestCaseStatus::Success { .. } => ("passed", None),
                TestCaseStatus::NonSuccess {
                    kind: NonSuccessKind::Failure,
                    message,
                    ..
                } => ("failure", message),
                TestCaseStatus::NonSuccess {
                    kind: NonSuccessKind::Error,
                    message,
                    ..
                } => ("error", message),
                TestCaseStatus::Skipped { message, .. } => ("skipped", message),
            };
            [
                suite.into_string(),
                text(case.classname),
                case.name.into_string(),
                result.to_owned(),
                text(message),
            ]
        })
        .collect()
}

#[test]
fn two_junit_readers_agree_on_every_run() {
    let mut runs = vec![
        build::consistent(),
        build::context_lost(),
        build::example_failed(),
        build::could_not_run(),
    ];
    runs.extend(build::NASTY.map(build::hostile));
    for run in runs {
        let xml = errors_fail(&run);
        let reading = read_by_junit_parser(&xml);
        assert_eq!(reading, read_by_quick_junit(&xml));
        let document = Document::parse(&xml).unwrap();
        assert_eq!(reading.len(), attribute(document.root_element(), "tests"));
    }
}

#[test]
fn findings_read_back_unchanged() {
    let failure = |reading: Reading| {
        reading
            .into_iter()
            .find(|case| case[3] == "failure")
            .unwrap()
    };
    let text = "\"a\" & <b> ]]> 'c'\n\u{1b}[31m";
    let run = build::failing(
        build::consistent(),
        vec![build::finding(Rule::SpanName, "go", Some("search"), text)],
    );
    let expected = [
        "go",
        "go.vocabulary",
        "search",
        "failure",
        r#""a" & <b> ]]> 'c'\n\x1b[31m"#,
    ];
    assert_eq!(failure(read_by_junit_parser(&errors_fail(&run))), expected);
    assert_eq!(failure(read_by_quick_junit(&errors_fail(&run))), expected);
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
fn text_that_breaks_xml_is_escaped() {
    for text in build::NASTY {
        assert_eq!(
            shape(&errors_fail(&build::hostile(text))),
            shape(&errors_fail(&build::hostile("harmless"))),
            "{text:?}"
        );
    }
}
