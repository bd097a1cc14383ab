//! Ranges such as `>=0.50, <0.61`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::order::compare;

/// Comparisons that must all hold; empty for `*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Range {
    /// The original text.
    text: String,
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

impl Range {
    pub fn contains(&self, version: &str) -> bool {
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

    /// Whether it takes every version.
    pub fn is_any(&self) -> bool {
        self.comparisons.is_empty()
    }

    /// The range of a version and all later ones.
    pub fn at_least(version: &str) -> Self {
        Self {
            text: format!(">={version}"),
            comparisons: vec![(Operator::AtLeast, version.to_owned())],
        }
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let comparisons = match text.trim() {
            "*" => Vec::new(),
            text => text.split(',').map(comparison).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            text: text.to_owned(),
            comparisons,
        })
    }
}

impl TryFrom<String> for Range {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |range: &str, version: &str, expected: bool| {
            let parsed: Range = range.parse().expect(range);
            assert_eq!(parsed.contains(version), expected, "{version} in {range}");
            assert_eq!(parsed.to_string(), range);
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
        check(">=17", "21", true);
        assert!(Range::at_least("3.8").contains("3.11.7"));
    }

    #[test]
    fn a_typo_in_a_range_is_an_error() {
        for text in ["", "0.5", "<", "<b", ">=1, 2", "~1", "=>1"] {
            assert!(text.parse::<Range>().is_err(), "{text:?}");
            assert!(
                serde_json::from_value::<Range>(text.into()).is_err(),
                "{text:?}"
            );
        }
    }
}
