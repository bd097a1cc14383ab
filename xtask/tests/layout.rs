//! The layout: files and crates use each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The crates of this repository that each crate may name in its `[dependencies]`. What they may name in turn is allowed too.
const ARROWS: [(&str, &[&str]); 17] = [
    ("xtask", &["milvus-otel-cli", "test-support"]),
    ("milvus-otel-cli", &["compat"]),
    ("compat", &["harness"]),
    (
        "harness",
        &["supervise", "otlp-capture", "grpc-witness", "trace-report"],
    ),
    ("trace-report", &["trace-breakdown"]),
    ("trace-breakdown", &["trace-parity"]),
    ("milvus-otel-tests", &["milvus-otel"]),
    ("trace-parity-faults", &["trace-parity"]),
    ("otlp-capture", &["protobuf-wire"]),
    (
        "trace-parity",
        &["otlp-signals", "protobuf-wire", "versions"],
    ),
    ("otlp-signals", &[]),
    ("versions", &[]),
    ("grpc-witness", &[]),
    ("supervise", &[]),
    ("protobuf-wire", &[]),
    ("test-support", &[]),
    ("milvus-otel", &[]),
];

#[test]
fn crates_use_only_crates_below_them() {
    for (name, folder) in crates() {
        let allowed = below(&name);
        for dependency in dependencies(&folder) {
            assert!(
                allowed.contains(dependency.as_str()),
                "`{name}` may not depend on `{dependency}`"
            );
        }
    }
}

#[test]
fn no_files_of_a_crate_use_each_other_in_a_circle() {
    for (name, folder) in crates() {
        let source = Source::read(&folder.join("src"));
        let uses = source.uses();
        let circle = circle(&uses);
        assert!(circle.is_none(), "`{name}`: {circle:#?}");
    }
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let cases: [(&[(&str, &str)], bool); 6] = [
        (&[("", "mod a;\nuse a::A;"), ("a", "struct A;")], false),
        (
            &[("", "mod a;\nuse a::A;\nstruct B;"), ("a", "use crate::B;")],
            true,
        ),
        (
            &[
                ("a", "mod b;\nfn f() { b::f() }"),
                ("a::b", "use super::C;"),
            ],
            true,
        ),
        (
            &[("a", "mod b;\npub use b::f;"), ("a::b", "use super::C;")],
            false,
        ),
        (
            &[
                ("a", "mod b;\npub use b::{B, f};\nfn g() -> B {}"),
                ("a::b", "use super::C;"),
            ],
            true,
        ),
        (
            &[
                ("a", "use super::b::{self, c};"),
                ("b", "use crate::{a::x, c};"),
                ("c", ""),
            ],
            true,
        ),
    ];
    for (files, expected) in cases {
        let owned = files
            .iter()
            .map(|&(module, text)| (module.to_owned(), text.to_owned()));
        let mut files: BTreeMap<String, String> = owned.collect();
        files.entry(String::new()).or_default();
        let source = Source { files };
        let found = circle(&source.uses()).is_some();
        assert_eq!(found, expected, "{:#?}", source.files);
    }
}

#[test]
fn no_two_types_of_a_crate_have_one_name() {
    for (name, folder) in crates() {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (module, text) in &Source::read(&folder.join("src")).files {
            for line in text.lines() {
                if let Some(defined) = defined_type(line) {
                    places.entry(defined).or_default().push(module.clone());
                }
            }
        }
        places.retain(|_, modules| modules.len() > 1);
        assert!(places.is_empty(), "`{name}`: {places:#?}");
    }
}

/// The sources of a crate by module, such as `stack::compose`, without comments, tests and what is generated.
struct Source {
    files: BTreeMap<String, String>,
}

impl Source {
    fn read(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        for path in rust_files(folder) {
            let text = std::fs::read_to_string(&path).expect("a source can be read");
            if !text.starts_with("// This file is @generated") {
                let relative = path.strip_prefix(folder).expect("it is in the folder");
                files.insert(module_of(relative), without_tests(&text));
            }
        }
        Self { files }
    }

    /// The modules that each module names.
    fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        self.files
            .iter()
            .map(|(module, text)| {
                let named = paths_in(text)
                    .filter_map(|path| self.defining(module, &path))
                    .chain(self.children(module, text))
                    .filter(|named| *named != module)
                    .collect();
                (module.as_str(), named)
            })
            .collect()
    }

    /// The module that a path leads to: as much of it as is a file.
    fn defining(&self, module: &str, path: &[&str]) -> Option<&str> {
        let mut parts: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
        for part in path {
            match *part {
                "crate" => parts.clear(),
                "self" => {}
                "super" => {
                    parts.pop();
                }
                name => parts.push(name),
            }
        }
        while !parts.is_empty() && !self.files.contains_key(&parts.join("::")) {
            parts.pop();
        }
        self.files
            .get_key_value(&parts.join("::"))
            .map(|(module, _)| module.as_str())
    }

    /// The modules that a module declares and uses. Re-exporting a name isn't a use of it, unless the module names it too.
    fn children<'s>(&'s self, module: &'s str, text: &'s str) -> impl Iterator<Item = &'s str> {
        let declared = text.lines().filter_map(|line| {
            let (_, name) = line.trim_end().strip_suffix(';')?.rsplit_once("mod ")?;
            Some(name)
        });
        let (exports, code) = re_exports(text);
        declared
            .filter(move |child| {
                let is_named = |path: &Vec<&str>| {
                    path[0] == *child && path.last().is_some_and(|name| names(&code, name))
                };
                names(&code, &format!("{child}::")) || exports.iter().any(is_named)
            })
            .filter_map(|name| self.defining(module, &["self", name]))
    }
}

/// Whether a path in `code` begins with `name`, which may end in `::`.
fn names(code: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(name).any(|(at, _)| {
        let rest = &code[at + name.len()..];
        let goes_on =
            !name.ends_with(':') && rest.starts_with(|c| c == '_' || char::is_alphanumeric(c));
        !code[..at].ends_with(is_part) && !goes_on
    })
}

/// The paths that `pub use` re-exports, and the text without them.
fn re_exports(text: &str) -> (Vec<Vec<&str>>, String) {
    let mut exports = Vec::new();
    let mut code = String::new();
    for statement in text.split_inclusive(';') {
        let split = ["pub use ", "pub(crate) use ", "pub(super) use "]
            .iter()
            .find_map(|keyword| statement.split_once(keyword));
        match split {
            None => code.push_str(statement),
            Some((before, path)) => {
                code.push_str(before);
                exports.extend(ends_of(path, &mut Vec::new()).0);
            }
        }
    }
    (exports, code)
}

/// The paths that begin at the crate or above the module; those in a `use` with braces are told apart.
fn paths_in(text: &str) -> impl Iterator<Item = Vec<&str>> {
    ["crate::", "super::"].into_iter().flat_map(move |first| {
        text.match_indices(first)
            .filter(|(at, _)| !text[..*at].ends_with("::"))
            .flat_map(|(at, _)| ends_of(&text[at..], &mut Vec::new()).0)
    })
}

/// The paths that a `use` tree at the beginning of `text` leads to, and what comes after it.
fn ends_of<'t>(text: &'t str, above: &mut Vec<&'t str>) -> (Vec<Vec<&'t str>>, &'t str) {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let depth = above.len();
    let mut rest = text;
    loop {
        if let Some(mut inside) = rest.strip_prefix('{') {
            let mut all = Vec::new();
            while !inside.trim_start().starts_with('}') && !inside.is_empty() {
                let (ends, after) = ends_of(inside.trim_start(), above);
                all.extend(ends);
                inside = after.trim_start().trim_start_matches(',');
            }
            above.truncate(depth);
            return (all, inside.trim_start().trim_start_matches('}'));
        }
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        above.push(&rest[..end]);
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(after) => rest = after,
            None => break,
        }
    }
    let path = above.clone();
    above.truncate(depth);
    // `name as other` ends at the next comma, brace or semicolon.
    let after = rest
        .find([',', '}', ';', '\n'])
        .map_or("", |at| &rest[at..]);
    (vec![path], after)
}

/// The names of a circle, if there is one.
fn circle<'u>(uses: &BTreeMap<&'u str, BTreeSet<&'u str>>) -> Option<Vec<&'u str>> {
    fn walk<'u>(
        module: &'u str,
        uses: &BTreeMap<&'u str, BTreeSet<&'u str>>,
        way: &mut Vec<&'u str>,
        done: &mut BTreeSet<&'u str>,
    ) -> Option<Vec<&'u str>> {
        if let Some(at) = way.iter().position(|before| *before == module) {
            return Some(way[at..].to_vec());
        }
        if done.contains(module) {
            return None;
        }
        way.push(module);
        let found = uses[module]
            .iter()
            .find_map(|next| walk(next, uses, way, done));
        way.pop();
        done.insert(module);
        found
    }
    let mut done = BTreeSet::new();
    uses.keys()
        .find_map(|module| walk(module, uses, &mut Vec::new(), &mut done))
}

/// The type that a line defines; associated types are indented.
fn defined_type(line: &str) -> Option<String> {
    let words: Vec<&str> = line
        .split_whitespace()
        .skip_while(|word| word.starts_with("pub"))
        .collect();
    let (kind, name) = (words.first()?, words.get(1)?);
    let defines = match *kind {
        "struct" | "enum" | "union" | "trait" => true,
        "type" => !line.starts_with(' '),
        _ => false,
    };
    let name = name
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()?;
    defines.then(|| name.to_owned())
}

/// Comments are no code, and tests may look at anything.
fn without_tests(text: &str) -> String {
    let begin = ["\n#[cfg(test)]\n", "\n#[cfg(all(test"];
    let begin = begin.iter().filter_map(|mark| text.find(mark)).min();
    let code = &text[..begin.unwrap_or(text.len())];
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn module_of(relative: &Path) -> String {
    let name = relative.with_extension("");
    let parts: Vec<String> = name
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    match parts
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["lib" | "main"] => String::new(),
        [above @ .., "mod"] => above.join("::"),
        parts => parts.join("::"),
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources can be read");
    entries
        .map(|entry| entry.expect("an entry can be read").path())
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The crates of the repository with their folders.
fn crates() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("it is in the workspace");
    ARROWS
        .iter()
        .map(|(name, _)| match *name {
            "xtask" => ("xtask".to_owned(), root.join("xtask")),
            name => (name.to_owned(), root.join("crates").join(name)),
        })
        .collect()
}

/// The crates that `name` may use, at any distance.
fn below(name: &str) -> BTreeSet<&'static str> {
    let direct = ARROWS
        .iter()
        .find(|(from, _)| *from == name)
        .map_or(&[][..], |(_, to)| to);
    direct
        .iter()
        .flat_map(|to| below(to).into_iter().chain([*to]))
        .collect()
}

/// The crates of the repository that a crate is built from. What its tests use besides is its own affair.
fn dependencies(folder: &Path) -> BTreeSet<String> {
    let manifest =
        std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest can be read");
    let of_build = manifest
        .split("\n[")
        .find(|table| table.starts_with("dependencies]"))
        .unwrap_or("");
    let named = of_build
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    let ours: BTreeSet<String> = crates().into_iter().map(|(name, _)| name).collect();
    named
        .map(str::to_owned)
        .filter(|name| ours.contains(name))
        .collect()
}
