//! The public API of `milvus-otel`: its list is up to date, examples show all of it, and dependencies support its compiler.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WRITE: &str = "MILVUS_OTEL_WRITE_API";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(workspace());
    cargo
}

/// Rustdoc's JSON of the crate with all its features.
fn rustdoc_json() -> PathBuf {
    let target = workspace().join("target/public-api");
    let arguments = "rustdoc --locked --quiet --package milvus-otel --lib --all-features";
    let output = cargo()
        .args(arguments.split(' '))
        .arg("--target-dir")
        .arg(&target)
        .args("-- -Z unstable-options --output-format json".split(' '))
        // Rustdoc's JSON isn't stable. Build scripts that see this variable detect another compiler, hence the separate folder.
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("doc/milvus_otel.json")
}

#[test]
fn the_public_api_is_as_listed_and_examples_show_it() {
    let json = rustdoc_json();
    the_api_is_as_listed(&json);
    every_function_is_shown(&json);
}

/// After an intended change, run with `MILVUS_OTEL_WRITE_API=1`.
fn the_api_is_as_listed(json: &Path) {
    let file = workspace().join("crates/milvus-otel/public-api.txt");
    let api = match public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_derived_impls(true)
        .build()
    {
        Ok(api) => api,
        Err(error) => {
            return test_support::skip(&format!(
                "`public-api` doesn't read what rustdoc of this toolchain writes: {error}"
            ));
        }
    };
    let found: String = api.items().map(|item| format!("{item}\n")).collect();
    if std::env::var_os(WRITE).is_some() {
        fs::write(&file, &found).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let lines = |text: &str| text.lines().map(ToOwned::to_owned).collect::<BTreeSet<_>>();
    let (found, written) = (lines(&found), lines(&written));
    let gone: Vec<&str> = written.difference(&found).map(String::as_str).collect();
    let new: Vec<&str> = found.difference(&written).map(String::as_str).collect();
    let (breaking, hint) = if gone.is_empty() {
        ("", "is this meant for everyone?")
    } else {
        (
            ", and breaks who uses it",
            "a released version that breaks its users is 0.(x+1).0, and the changelog says what they do",
        )
    };
    assert!(
        gone.is_empty() && new.is_empty(),
        "the public API is another than `public-api.txt` says{breaking}\n\n-{}\n+{}\n\n\
         hint: {hint} If so: {WRITE}=1 cargo test -p milvus-otel-tests --test api",
        gone.join("\n-"),
        new.join("\n+")
    );
}

/// The list before: of the newest release, with its version, or the first one.
fn list_before() -> Result<(Option<String>, String), String> {
    const FILE: &str = "crates/milvus-otel/public-api.txt";
    let git = |arguments: &[&str]| -> Result<String, String> {
        let mut git = Command::new("git");
        let output = git.current_dir(workspace()).args(arguments).output();
        let output = output.map_err(|error| format!("git can't be started: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    };
    if git(&["rev-parse", "--is-shallow-repository"])? == "true" {
        return Err("this clone doesn't have the history".to_owned());
    }
    let tag = git(&["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]).ok();
    let commit = match &tag {
        Some(tag) => tag.clone(),
        None => {
            let added = git(&["log", "--diff-filter=A", "--format=%H", "--", FILE])?;
            let first = added.lines().last();
            first.ok_or("the list isn't committed")?.to_owned()
        }
    };
    let list = git(&["show", &format!("{commit}:{FILE}")])?;
    Ok((tag.map(|tag| tag.trim_start_matches('v').to_owned()), list))
}

/// The lines of `before` that are gone, unless `declared` names their item, or its type, in backticks.
fn undeclared<'a>(before: &'a str, now: &str, declared: &str) -> Vec<&'a str> {
    let now: BTreeSet<&str> = now.lines().collect();
    let is_declared = |line: &str| {
        let Some((_, path)) = line.split_once("milvus_otel::") else {
            return false;
        };
        let mut depth = 0usize;
        let mut plain = String::new();
        for c in path.chars() {
            match c {
                '<' => depth += 1,
                '>' => depth = depth.saturating_sub(1),
                '(' | ' ' if depth == 0 => break,
                c if depth == 0 => plain.push(c),
                _ => {}
            }
        }
        let names: Vec<&str> = plain.trim_end_matches([':', ',']).split("::").collect();
        let last_two = names[names.len().saturating_sub(2)..].join("::");
        let is_named = |name: &str| declared.contains(&format!("`{name}`"));
        is_named(&last_two) || names.iter().any(|name| is_named(name))
    };
    before
        .lines()
        .filter(|line| !now.contains(line) && !is_declared(line))
        .collect()
}

#[test]
fn a_breaking_change_is_in_the_changelog_and_in_the_version() {
    let (released, before) = match list_before() {
        Ok(before) => before,
        Err(why) => return test_support::skip(&why),
    };
    let read = |file| fs::read_to_string(workspace().join(file)).unwrap();
    let now = read("crates/milvus-otel/public-api.txt");
    let changelog = read("CHANGELOG.md");
    let newest = changelog.split("\n## ").nth(1).unwrap();
    let (_, declared) = newest
        .split_once("\nBreaking changes of `milvus-otel`")
        .unwrap_or_default();
    let undeclared = undeclared(&before, &now, declared);
    assert!(
        undeclared.is_empty(),
        "\n-{}\n\nhint: name it under \"Breaking changes of `milvus-otel`\" in CHANGELOG.md, with what users do",
        undeclared.join("\n-")
    );
    let is_breaking = before
        .lines()
        .any(|line| !now.lines().any(|new| new == line));
    if let Some(released) = released
        && is_breaking
    {
        let (old, new) = (version(&released), version(env!("CARGO_PKG_VERSION")));
        let is_same = old[0] == new[0] && (old[0] > 0 || old[1] == new[1]);
        assert!(
            !is_same,
            "{released} is released, and this version breaks its users"
        );
    }
}

#[test]
fn what_is_gone_must_be_declared() {
    let before = "pub fn milvus_otel::client::Builder::timeout(self, core::time::Duration) -> Self\n\
                  pub struct milvus_otel::client::Query<'a, T>\n\
                  pub fn milvus_otel::client::Query<'a, T>::limit(self, u64) -> Self\n\
                  impl<'a, T> core::marker::Send for milvus_otel::client::Query<'a, T>\n\
                  pub milvus_otel::telemetry::SetupError::Exporter(core::fmt::Error)\n\
                  pub const milvus_otel::SCOPE_NAME: &str";
    let cases: [(&str, &[usize]); 5] = [
        ("", &[0, 1, 2, 3, 4, 5]),
        ("`Builder::timeout` takes an option", &[1, 2, 3, 4, 5]),
        ("`Query` has a third parameter", &[0, 4, 5]),
        ("`SetupError::Exporter`, `SCOPE_NAME`", &[0, 1, 2, 3]),
        ("Query and timeout, without backticks", &[0, 1, 2, 3, 4, 5]),
    ];
    let lines: Vec<&str> = before.lines().collect();
    for (declared, expected) in cases {
        let expected: Vec<&str> = expected.iter().map(|index| lines[*index]).collect();
        assert_eq!(undeclared(before, "", declared), expected, "{declared}");
    }
    assert!(undeclared(before, before, "").is_empty());
}

/// Every public function is called in an example, which `cargo test` compiles.
fn every_function_is_shown(json: &Path) {
    let json: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let items: Vec<&Value> = json["index"].as_object().unwrap().values().collect();
    let own = items.iter().filter(|item| item["crate_id"] == 0);
    let readme = fs::read_to_string(workspace().join("crates/milvus-otel/README.md")).unwrap();
    let examples: String = own
        .clone()
        .filter_map(|item| item["docs"].as_str())
        .chain([readme.as_str()])
        .flat_map(|docs| docs.split("```").skip(1).step_by(2))
        .collect();
    let is_called = |name: &str| {
        [".", "::"]
            .iter()
            .flat_map(|before| ["(", "::<"].map(|after| format!("{before}{name}{after}")))
            .any(|call| examples.contains(&call))
    };
    let unseen: BTreeSet<String> = own
        .filter(|item| item["visibility"] == "public" && !item["inner"]["function"].is_null())
        .filter(|item| !item["inner"]["function"]["has_body"].is_null())
        .filter_map(|item| {
            let name = item["name"].as_str()?;
            let file = item["span"]["filename"].as_str().unwrap_or_default();
            (!is_called(name)).then(|| format!("{file}: {name}"))
        })
        .collect();
    assert!(
        unseen.is_empty(),
        "no example shows\n{}",
        unseen.into_iter().collect::<Vec<_>>().join("\n")
    );
}

/// A version such as `1.90` or `1.90.0`.
fn version(text: &str) -> Vec<u64> {
    let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap()).collect();
    parts.resize(3, 0);
    parts
}

/// Clippy's `incompatible_msrv` checks the crate's own code.
#[test]
fn no_dependency_needs_a_later_compiler() {
    let output = cargo()
        .args("metadata --format-version 1 --locked --all-features".split(' '))
        .output()
        .expect("cargo can be started");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let (own, package) = packages
        .iter()
        .find(|(_, package)| package["name"] == "milvus-otel")
        .unwrap();
    let stated = package["rust_version"].as_str().unwrap();

    let mut seen = BTreeSet::new();
    let mut left = vec![*own];
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                left.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    let later: Vec<String> = seen
        .iter()
        .map(|id| packages[id])
        .filter_map(|package| {
            let asked = package["rust_version"].as_str()?;
            (version(asked) > version(stated)).then(|| format!("{} {asked}", package["name"]))
        })
        .collect();
    assert!(seen.len() > 50, "the tree has {} packages", seen.len());
    assert_eq!(later, Vec::<String>::new(), "`rust-version` is {stated}");
    let readme = fs::read_to_string(workspace().join("crates/milvus-otel/README.md")).unwrap();
    assert!(readme.contains(&format!("Rust {stated} or later")));
}
