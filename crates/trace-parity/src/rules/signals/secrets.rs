//! Do logs and metrics hold what looks like a credential?

use std::collections::BTreeMap;

use crate::draft::Draft;
use crate::rule::Rule;
use crate::view::View;

/// Words before a value that must not be stored, in lower case.
const BEFORE: [&str; 8] = [
    "password=",
    "password: ",
    "passwd=",
    "secret=",
    "token=",
    "api_key=",
    "apikey=",
    "authorization: ",
];
/// Beginnings of values that are credentials by themselves.
const BEGINNINGS: [&str; 6] = ["bearer ", "basic ", "eyj", "akia", "ghp_", "sk-"];
/// The shortest rest of a credential.
const SHORTEST: usize = 12;

/// Where a credential was recorded. It is never quoted.
pub(crate) fn secrets(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    let mut found: BTreeMap<(u32, String), usize> = BTreeMap::new();
    for &(number, record) in &signals.logs {
        let mut note = |place: String| *found.entry((number, place)).or_default() += 1;
        if holds_secret(&record.body) {
            note(format!("the text of records of `{}`", record.scope.name));
        }
        for (key, value) in record.attributes.iter() {
            if holds_secret(value) {
                note(format!(
                    "the attribute `{key}` of records of `{}`",
                    record.scope.name
                ));
            }
        }
    }
    for &(number, metric) in &signals.metrics {
        for series in &metric.series {
            for (key, value) in series.attributes.iter() {
                if holds_secret(value) {
                    let place = format!("the attribute `{key}` of the metric `{}`", metric.name);
                    *found.entry((number, place)).or_default() += 1;
                }
            }
        }
    }
    for ((number, place), count) in found {
        drafts.push(
            Draft::new(
                Rule::SecretRecorded,
                format!("something like a credential is in {place}"),
            )
            .example(number)
            .subject(place)
            .count(count),
        );
    }
}

fn holds_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let at_start = |at: usize| at == 0 || !lower.as_bytes()[at - 1].is_ascii_alphanumeric();
    let is_long = |rest: &str| {
        rest.bytes()
            .take_while(|byte| is_secret_byte(*byte))
            .count()
            >= SHORTEST
    };
    let behind = |word: &'static str| {
        let found = lower.match_indices(word);
        found.map(move |(at, word)| (at, at + word.len()))
    };
    let named = BEFORE
        .into_iter()
        .flat_map(behind)
        .any(|(_, end)| is_long(&lower[end..]));
    let itself = BEGINNINGS
        .into_iter()
        .flat_map(behind)
        .any(|(at, end)| at_start(at) && is_long(&lower[end..]) && has_digit(&text[end..]));
    named || itself
}

/// Bytes of base64, of hexadecimal numbers and of passwords. Stars are what a secret is replaced with.
fn is_secret_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=_-.~!#%".contains(&byte)
}

/// Words of a sentence have none.
fn has_digit(rest: &str) -> bool {
    rest.bytes()
        .take_while(|byte| is_secret_byte(*byte))
        .any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::holds_secret;

    #[test]
    fn credentials_are_recognized_and_words_are_not() {
        let check = |text: &str, expected: bool| assert_eq!(holds_secret(text), expected, "{text}");
        check("connected with token=root-Milvus-12345", true);
        check("authorization: Basic cm9vdDpNaWx2dXMxMjM0NQ==", true);
        check("sent Bearer 9f86d081884c7d659a2feaa0c55ad015", true);
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl", true);
        check("token=********************", false);
        check("the next token is expected", false);
        check("basic authentication-scheme", false);
        check("password= is empty", false);
        check("found ids 1, 2, 3", false);
    }
}
