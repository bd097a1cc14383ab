//! Versions as tools and package managers print them.

use std::collections::BTreeMap;

use semver::Version;

/// Resolved versions by package name.
pub type Versions = BTreeMap<String, String>;

/// `name version`, `name==version`, `name@version`, each with or without a `v` before the version.
pub fn parse_version(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let (name, version) = line
        .rsplit_once("==")
        .or_else(|| line.rsplit_once('@'))
        .or_else(|| line.rsplit_once(' '))?;
    let version = version.trim().trim_start_matches('v');
    let fits = !name.trim().is_empty()
        && !name.trim().contains(char::is_whitespace)
        && version.starts_with(|c: char| c.is_ascii_digit());
    fits.then(|| (name.trim().to_owned(), version.to_owned()))
}

/// The first `x.y` or `x.y.z` in a text.
pub fn first_version(text: &str) -> Option<Version> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .find_map(|word| {
            let mut parts = word.split('.').map(str::parse::<u64>);
            let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
                return None;
            };
            let patch = parts.next().and_then(std::result::Result::ok).unwrap_or(0);
            Some(Version::new(major, minor, patch))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolved_versions_are_read_from_what_package_managers_print() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let parsed = parse_version(line);
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

    #[test]
    fn versions_are_found_in_what_tools_print() {
        let check = |printed: &str, version: Option<&str>| {
            assert_eq!(
                first_version(printed).map(|v| v.to_string()).as_deref(),
                version,
                "{printed}"
            );
        };
        check("Python 3.11.7", Some("3.11.7"));
        check("go version go1.26.8 linux/amd64", Some("1.26.8"));
        check("openjdk version \"17.0.15\" 2025-04-15", Some("17.0.15"));
        check("v20.20.2", Some("20.20.2"));
        check("\u{1b}[1mApache Maven 3.8.7\u{1b}[m", Some("3.8.7"));
        check("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", Some("1.95.0"));
        check("v2.29.2-desktop.2", Some("2.29.2"));
        check("2.24.6+ds1-0ubuntu1~22.04.1", Some("2.24.6"));
        check("openjdk version \"21\"", None);
        check("", None);
    }
}
