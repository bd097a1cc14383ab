//! Version ranges such as `>=0.50, <0.61`, over whatever scopes call a version: `0.54b1`, `semver:0.38.0`, `2.25.0-alpha`.

use std::cmp::Ordering;

/// Comparisons that must all hold; none for `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRange {
    comparisons: Vec<(Operator, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

const OPERATORS: [(&str, Operator); 5] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::More),
    ("=", Operator::Equal),
];

impl VersionRange {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "*" {
            return Ok(VersionRange {
                comparisons: Vec::new(),
            });
        }
        let comparisons = text.split(',').map(comparison).collect::<Result<_, _>>()?;
        Ok(VersionRange { comparisons })
    }

    pub(crate) fn contains(&self, version: &str) -> bool {
        self.comparisons.iter().all(|(operator, bound)| {
            let order = compare(version, bound);
            match operator {
                Operator::Less => order == Ordering::Less,
                Operator::AtMost => order != Ordering::Greater,
                Operator::Equal => order == Ordering::Equal,
                Operator::AtLeast => order != Ordering::Less,
                Operator::More => order == Ordering::Greater,
            }
        })
    }
}

fn comparison(text: &str) -> Result<(Operator, String), String> {
    let text = text.trim();
    let (operator, version) = OPERATORS
        .iter()
        .find_map(|(sign, operator)| text.strip_prefix(sign).map(|rest| (*operator, rest.trim())))
        .ok_or_else(|| {
            format!(
                "expected `*`, or versions each after `<`, `<=`, `=`, `>=` or `>`, found `{text}`"
            )
        })?;
    if !version.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("expected a version after the sign, found `{text}`"));
    }
    Ok((operator, version.to_owned()))
}

/// Numbers by value, and what has letters after the numbers before the same without.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (parts(left), parts(right));
    let length = left.0.len().max(right.0.len());
    let number = |numbers: &[u64], index: usize| numbers.get(index).copied().unwrap_or(0);
    (0..length)
        .map(|index| number(&left.0, index).cmp(&number(&right.0, index)))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| match (left.1.is_empty(), right.1.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => left.1.cmp(right.1),
        })
}

/// The leading numbers, and the pre-release behind them.
fn parts(version: &str) -> (Vec<u64>, &str) {
    let version = version.trim();
    let start = version.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let version = version[start..].split('+').next().unwrap_or_default();
    let end = version
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(version.len());
    let numbers = version[..end]
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    (numbers, &version[end..])
}

#[cfg(test)]
mod tests {
    use super::VersionRange;

    #[test]
    fn ranges() {
        let check = |range: &str, version: &str, expected: bool| {
            let parsed = VersionRange::parse(range).expect(range);
            assert_eq!(parsed.contains(version), expected, "{version} in {range}");
        };
        check("*", "", true);
        check("*", "0.54b1", true);
        check("<0.62", "0.60.0", true);
        check("<0.62", "semver:0.38.0", true);
        check("<0.62", "0.62.0", false);
        check(">=0.50, <0.61", "0.54b1", true);
        check(">=0.50, <0.61", "0.9.0", false);
        check("=2.25.0", "v2.25.0", true);
        check("<2.25.0", "2.25.0-alpha", true);
        check(">0.9", "0.10", true);
        check("<=1.0", "1.0.0+build", true);
    }

    #[test]
    fn what_is_no_range() {
        for text in ["", "0.5", "<", "<b", ">=1, 2", "~1"] {
            assert!(VersionRange::parse(text).is_err(), "{text:?}");
        }
    }
}
