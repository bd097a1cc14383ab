//! The data file of advice, the pages generated from it, and the files that repeat its versions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use trace_parity::{Advice, Certainty, Rule};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text with an ellipsis in place of each piece of evidence.
fn general(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a closing brace");
        out.push_str(before);
        out.push_str(if name.is_empty() { "{}" } else { "…" });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The text with a capital first letter, unless it begins with the name of a package.
fn sentence(text: &str) -> String {
    let is_package = |word: &str| word.contains(['-', '_', '@']);
    if text.split(' ').next().is_some_and(is_package) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

fn row(advice: &Advice) -> String {
    let mut out = String::from("- ");
    let when = advice.when();
    if !when.is_empty() {
        out.push_str(&format!("**{}**: ", sentence(&when)));
    }
    let text = if advice.says.is_empty() {
        sentence(&general(&advice.cure))
    } else {
        let (says, cure) = (general(&advice.says), sentence(&general(&advice.cure)));
        format!("{}. {cure}", sentence(&says))
    };
    out.push_str(&format!("{text}. *{}.*\n", sentence(&advice.source)));
    out
}

const HEADING: &str = "## Causes and cures\n\n";

fn section(rule: Rule) -> Option<String> {
    let rows: String = Advice::of(rule).iter().map(|advice| row(advice)).collect();
    (!rows.is_empty()).then(|| format!("{HEADING}{rows}"))
}

/// Set `UPDATE_RULE_PAGES` to write the pages.
#[test]
fn each_page_ends_with_its_rules_advice() {
    for &rule in Rule::ALL {
        let Some(section) = section(rule) else {
            continue;
        };
        let path = format!("docs/rules/{rule}.md");
        let page = file(&path);
        let own = page.split(HEADING).next().expect("a page").trim_end();
        let expected = format!("{own}\n\n{section}");
        if std::env::var_os("UPDATE_RULE_PAGES").is_some() {
            std::fs::write(repository().join(&path), &expected)
                .expect("a page that can be written");
        } else {
            assert_eq!(
                page, expected,
                "run with UPDATE_RULE_PAGES=1 to write {path}"
            );
        }
    }
}

#[test]
fn rows_are_whole() {
    let mut ids = BTreeSet::new();
    for advice in Advice::all() {
        let id = &advice.id;
        assert!(ids.insert(id), "two rows are called {id}");
        assert!(advice.rules().count() > 0, "{id}");
        for text in [&advice.says, &advice.cure, &advice.source] {
            assert!(!text.ends_with('.') && text.trim() == text, "{id}: {text}");
        }
        assert_eq!(
            advice.certainty == Certainty::Always,
            advice.says.is_empty(),
            "{id}: a proof and a cause name the cause"
        );
        let known = ["measured", "documented"];
        assert!(
            known.iter().any(|word| advice.source.starts_with(word)),
            "{id}: {}",
            advice.source
        );
    }
}

/// The cases that rules write are exactly those that rows need.
#[test]
fn every_case_has_a_row() {
    let mut written = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&std::fs::read_to_string(&path).expect("a file"));
            }
        }
    }
    for part in text.split('"').skip(1) {
        written.insert(part.to_owned());
    }
    for advice in Advice::all() {
        for case in advice.cases().iter().filter(|case| !case.is_empty()) {
            assert!(
                written.contains(case),
                "{}: no rule writes the case `{case}`",
                advice.id
            );
        }
    }
    let needed: BTreeSet<&str> = Advice::all()
        .flat_map(|advice| advice.cases().iter().map(String::as_str))
        .collect();
    for part in text.split(".case(\"").skip(1) {
        let case = part.split('"').next().expect("a case");
        assert!(needed.contains(case), "no row needs the case `{case}`");
    }
}

/// Files that repeat a version which breaks traces name only measured versions.
#[test]
fn copies_name_measured_versions() {
    const FILES: [&str; 9] = [
        "README.md",
        "matrix.toml",
        "docs/compatibility.md",
        "examples-java/README.md",
        "examples-java/cures/README.md",
        "examples-py/README.md",
        "examples-go/README.md",
        "examples-node/README.md",
        "crates/trace-parity/src/advice.toml",
    ];
    const MEASURED: [(&str, &[&str]); 2] = [
        (
            "milvus-sdk-java",
            &["2.5.9", "2.5.10", "2.6.0", "2.6.17", "2.6.22"],
        ),
        (
            "opentelemetry-python",
            &["1.33.1", "1.41.1", "1.42", "1.42.0", "1.45.2"],
        ),
    ];
    let mut seen = 0;
    for path in FILES {
        for (package, measured) in MEASURED {
            for after in file(path).split(package).skip(1) {
                let after = after.trim_start_matches(['`', '*', ' ', ':']);
                let end = after
                    .find(|c: char| !c.is_ascii_digit() && c != '.')
                    .unwrap_or(after.len());
                let version = after[..end].trim_end_matches('.');
                if !version.is_empty() {
                    seen += 1;
                    assert!(measured.contains(&version), "{path}: {package} {version}");
                }
            }
        }
    }
    assert!(seen > 5, "{seen} versions were found");
}

#[test]
fn a_cause_reads_without_evidence() {
    let check = |id: &str, expected: &str| {
        let advice = Advice::by_id(id).expect(id);
        assert_eq!(advice.cause(), expected);
    };
    check(
        "python-random-flag",
        "opentelemetry-python sends trace flags 03, and opentelemetry-go before 1.42, which the server is built with, drops a `traceparent` \
         with flags above 01",
    );
    check(
        "java-ignores-opt-in",
        "the Java agent ignores `OTEL_SEMCONV_STABILITY_OPT_IN` for RPC",
    );
    check(
        "two-instrumentations",
        "two instrumentations trace one channel",
    );
}
