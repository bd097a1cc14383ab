//! The order of versions, whatever registry they come from.

use std::cmp::Ordering;

/// A piece of a version: numbers count as numbers, and a word stands before the release it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Number(u64),
    Word(&'a str),
}

/// Compares two versions as their registries order them: `2.9 < 2.10`, `1.0-rc.1 < 1.0`, `0.54b1 < 0.55b0`.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (pieces(a), pieces(b));
    let longest = a.len().max(b.len());
    (0..longest)
        .map(|at| compare_pieces(a.get(at).copied(), b.get(at).copied()))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Whether it is meant for trying out only, such as `1.0-rc.1` or `2.4.0-alpha`.
pub(crate) fn is_preview(version: &str) -> bool {
    pieces(version)
        .iter()
        .any(|piece| matches!(piece, Piece::Word(_)))
}

/// Every version that stands in what a package manager printed, oldest first, each once.
pub(crate) fn in_text(printed: &str) -> Vec<String> {
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

fn is_version(word: &str) -> bool {
    let mut parts = word.split('.');
    let major = parts.next().unwrap_or_default();
    let numeric = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
    numeric
        && parts
            .next()
            .is_some_and(|minor| minor.starts_with(|c: char| c.is_ascii_digit()))
}

fn compare_pieces(a: Option<Piece<'_>>, b: Option<Piece<'_>>) -> Ordering {
    match (a, b) {
        (Some(Piece::Number(a)), Some(Piece::Number(b))) => a.cmp(&b),
        (Some(Piece::Word(a)), Some(Piece::Word(b))) => a.cmp(b),
        (Some(Piece::Word(_)), _) => Ordering::Less,
        (_, Some(Piece::Word(_))) => Ordering::Greater,
        (a, b) => number(a).cmp(&number(b)),
    }
}

/// What is left out counts as zero: `2.0` is `2.0.0`.
fn number(piece: Option<Piece<'_>>) -> u64 {
    match piece {
        Some(Piece::Number(number)) => number,
        _ => 0,
    }
}

fn pieces(version: &str) -> Vec<Piece<'_>> {
    let version = version.split('+').next().unwrap_or_default();
    let mut pieces = Vec::new();
    for part in version
        .split(['.', '-', '_'])
        .filter(|part| !part.is_empty())
    {
        let mut rest = part;
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest
                .find(|c: char| c.is_ascii_digit() != digits)
                .unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            pieces.push(if digits {
                Piece::Number(piece.parse().unwrap_or(u64::MAX))
            } else {
                Piece::Word(piece)
            });
            rest = after;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_their_registries_order_them() {
        let check = |less: &str, more: &str| {
            assert_eq!(compare(less, more), Ordering::Less, "{less} < {more}");
            assert_eq!(compare(more, less), Ordering::Greater, "{more} > {less}");
        };
        check("2.9.0", "2.10.0");
        check("2.5", "2.5.1");
        check("1.10.0-rc.2", "1.10.0");
        check("1.10.0-rc.2", "1.10.0-rc.10");
        check("0.54b1", "0.55b0");
        check("0.49b1", "0.49b2");
        check("2.1.0-beta4", "2.1.0");
        check("0.57.2", "0.200.0");
        assert_eq!(compare("2.0", "2.0.0"), Ordering::Equal);
    }

    #[test]
    fn versions_are_read_from_what_package_managers_print() {
        let check =
            |printed: &str, expected: &[&str]| assert_eq!(in_text(printed), expected, "{printed}");
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
    fn previews_are_told_from_releases() {
        assert!(is_preview("1.47.0-rc.1"));
        assert!(is_preview("0.54b1"));
        assert!(!is_preview("2.26.1"));
    }
}
