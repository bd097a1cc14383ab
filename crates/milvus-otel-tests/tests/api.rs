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
