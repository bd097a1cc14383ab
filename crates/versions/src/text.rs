//! Versions in the output of tools and package managers.

use crate::order::compare;

/// The first version in a tool's output: the first `x.y` or `x.y.z`, otherwise the first number, as in `javac 21`.
pub fn first_in(printed: &str) -> Option<String> {
    let text = without_colors(printed);
    let words = || {
        text.split(|c: char| !c.is_ascii_digit() && c != '.')
            .map(|word| word.trim_matches('.'))
            .filter(|word| !word.is_empty() && !word.contains(".."))
    };
    let found = words()
        .find(|word| word.contains('.'))
        .or_else(|| words().next());
    found.map(str::to_owned)
}

/// All versions in a package manager's output, oldest first, without duplicates.
pub fn all_in(printed: &str) -> Vec<String> {
    let mut found: Vec<String> = printed
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-+._".contains(c)))
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .filter(|word| is_version(word))
        .map(str::to_owned)
        .collect();
    found.sort_by(|a, b| compare(a, b));
    found.dedup();
    found
}

/// The name and version of `name version`, `name==version` or `name@version`, with or without a `v` before the version.
pub fn pinned(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let (name, version) = line
        .rsplit_once("==")
        .or_else(|| line.rsplit_once('@'))
        .or_else(|| line.rsplit_once(' '))?;
    let (name, version) = (name.trim(), version.trim().trim_start_matches('v'));
    let fits = !name.is_empty()
        && !name.contains(char::is_whitespace)
        && version.starts_with(|c: char| c.is_ascii_digit());
    fits.then(|| (name.to_owned(), version.to_owned()))
}

fn is_version(word: &str) -> bool {
    let Some((major, rest)) = word.split_once('.') else {
        return false;
    };
    !major.is_empty()
        && major.bytes().all(|byte| byte.is_ascii_digit())
        && rest.starts_with(|c: char| c.is_ascii_digit())
}

/// Removes color codes: the number in `\x1b[1m` isn't a version.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let plain = parts.next().into_iter();
    let after = parts.map(|part| part.split_once('m').map_or(part, |(_, rest)| rest));
    plain.chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_a_tools_output() {
        let check = |printed: &str, version: Option<&str>| {
            assert_eq!(first_in(printed).as_deref(), version, "{printed}");
        };
        check("Python 3.11.7", Some("3.11.7"));
        check("go version go1.26.8 linux/amd64", Some("1.26.8"));
        check("openjdk version \"17.0.15\" 2025-04-15", Some("17.0.15"));
        check("v20.20.2", Some("20.20.2"));
        check("\u{1b}[1mApache Maven 3.8.7\u{1b}[m", Some("3.8.7"));
        check("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", Some("1.95.0"));
        check("v2.29.2-desktop.2", Some("2.29.2"));
        check("2.24.6+ds1-0ubuntu1~22.04.1", Some("2.24.6"));
        // The first release of every JDK has only one number.
        check("javac 21", Some("21"));
        check("openjdk version \"21\" 2023-09-19", Some("21"));
        check("\u{1b}[1mjavac 21\u{1b}[m", Some("21"));
        check("no version here", None);
        check("", None);
    }

    #[test]
    fn versions_are_found_in_package_managers_output() {
        let check =
            |printed: &str, expected: &[&str]| assert_eq!(all_in(printed), expected, "{printed}");
        check(
            "pymilvus (3.0.2)\nAvailable versions: 3.0.2, 2.10.0, 2.9.1\n  INSTALLED: 2.9.1\n",
            &["2.9.1", "2.10.0", "3.0.2"],
        );
        check(
            "go.opentelemetry.io/otel v1.0.0-RC1 v1.0.1",
            &["1.0.0-RC1", "1.0.1"],
        );
        check("[\n  \"2.5.9\",\n  \"2.5.10\"\n]", &["2.5.9", "2.5.10"]);
        check(
            "<version>2.26.0</version>\n<version>2.4.0-alpha</version>",
            &["2.4.0-alpha", "2.26.0"],
        );
        check("Available versions: 0.66b2, 0.66b0", &["0.66b0", "0.66b2"]);
        check("npm warn config", &[]);
    }

    #[test]
    fn resolved_versions_are_read_from_package_managers_output() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let parsed = pinned(line);
            assert_eq!(
                parsed.as_ref().map(|(n, v)| (n.as_str(), v.as_str())),
                expected,
                "{line}"
            );
        };
        check("pymilvus==2.5.9", Some(("pymilvus", "2.5.9")));
        check(
            "google.golang.org/grpc v1.80.0",
            Some(("google.golang.org/grpc", "1.80.0")),
        );
        check(
            "@opentelemetry/api@1.9.1",
            Some(("@opentelemetry/api", "1.9.1")),
        );
        check("  tonic v0.14.9", Some(("tonic", "0.14.9")));
        check(
            "io.milvus:milvus-sdk-java 2.5.10",
            Some(("io.milvus:milvus-sdk-java", "2.5.10")),
        );
        check("milvus-otel-examples", None);
        check("downloading 3 packages", None);
        check("", None);
    }
}
