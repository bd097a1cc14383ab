//! The order of versions.

use std::cmp::Ordering;

/// A piece of a version. Numbers are compared as numbers; a word such as `rc` comes before its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Number(u64),
    Word(&'a str),
}

/// Python's suffix for a version after a release.
const POST: Piece<'_> = Piece::Word("post");

/// Compares two versions as their registries order them: `2.9 < 2.10`, `1.0-rc.1 < 1.0`, `0.54b1 < 0.55b0`.
///
/// Text before the first digit and build metadata after `+` are ignored.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (pieces(a), pieces(b));
    let longest = a.len().max(b.len());
    (0..longest)
        .map(|at| compare_pieces(a.get(at).copied(), b.get(at).copied()))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Whether a version is a pre-release, such as `1.0-rc.1` or `2.4.0-alpha`.
pub fn is_preview(version: &str) -> bool {
    let mut pieces = pieces(version).into_iter();
    pieces.any(|piece| matches!(piece, Piece::Word(_)) && piece != POST)
}

/// A number that grows with the version. A major version weighs more than all minor ones.
pub fn weight(version: &str) -> u64 {
    let pieces = pieces(version);
    (0..3).fold(0, |weight, at| {
        weight * 1_000 + number(pieces.get(at).copied()).min(999)
    })
}

fn compare_pieces(a: Option<Piece<'_>>, b: Option<Piece<'_>>) -> Ordering {
    match (a, b) {
        (Some(Piece::Number(a)), Some(Piece::Number(b))) => a.cmp(&b),
        (Some(POST), None | Some(Piece::Word(_))) if a != b => Ordering::Greater,
        (None | Some(Piece::Word(_)), Some(POST)) if a != b => Ordering::Less,
        (Some(Piece::Word(a)), Some(Piece::Word(b))) => a.cmp(b),
        (Some(Piece::Word(_)), _) => Ordering::Less,
        (_, Some(Piece::Word(_))) => Ordering::Greater,
        (a, b) => number(a).cmp(&number(b)),
    }
}

/// A missing piece counts as zero: `2.0` is `2.0.0`.
fn number(piece: Option<Piece<'_>>) -> u64 {
    match piece {
        Some(Piece::Number(number)) => number,
        _ => 0,
    }
}

fn pieces(version: &str) -> Vec<Piece<'_>> {
    let start = version.find(|c: char| c.is_ascii_digit());
    let version = &version[start.unwrap_or(version.len())..];
    let release = version
        .find(['+', ' '])
        .map_or(version, |end| &version[..end]);
    let mut pieces = Vec::new();
    for part in release.split(['.', '-', '_']) {
        let mut rest = part;
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest
                .find(|c: char| c.is_ascii_digit() != digits)
                .unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            pieces.push(match piece.parse() {
                Ok(number) => Piece::Number(number),
                // Too many digits for a `u64`.
                Err(_) if digits => Piece::Number(u64::MAX),
                Err(_) => Piece::Word(piece),
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
        check("1.0", "1.0.post1");
        check("1.0.post1", "1.0.post2");
        check("1.0rc1", "1.0.post1");
        check("1.0.post1", "1.0.1");
        for (one, other) in [
            ("2.0", "2.0.0"),
            ("v1.2", "1.2"),
            ("semver:0.38.0", "0.38.0"),
            ("1.0+a", "1.0+b"),
        ] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }

    #[test]
    fn previews_are_distinguished_from_releases() {
        let check = |version: &str, expected: bool| {
            assert_eq!(is_preview(version), expected, "{version}");
        };
        check("1.47.0-rc.1", true);
        check("0.54b1", true);
        check("2.26.1", false);
        check("1.0.post1", false);
    }

    #[test]
    fn a_major_version_weighs_more_than_all_minor_ones() {
        let distance = |a: &str, b: &str| weight(a).abs_diff(weight(b));
        assert!(distance("2.99.9", "3.0.0") > distance("2.0.0", "2.99.9") / 1_000);
        assert!(distance("1.2.3", "1.2.4") < distance("1.2.3", "1.3.3"));
        assert!(distance("1.2.3", "1.9.3") < distance("1.2.3", "2.2.3"));
    }
}
