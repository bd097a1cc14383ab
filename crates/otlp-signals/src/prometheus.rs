//! A page of Prometheus text: `name{label="value"} number`, one sample a line.

use std::collections::HashMap;

/// The samples of a page, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page(HashMap<String, Vec<Sample>>);

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// In the order of the page.
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Page {
    /// The samples of one name; none where the page hasn't got it.
    #[must_use]
    pub fn samples(&self, name: &str) -> &[Sample] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

impl Sample {
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What isn't a sample is left out: comments, and lines of a page that was cut off.
pub(crate) fn parse(text: &str) -> Page {
    let mut page = Page::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, sample)) = sample(line) {
            page.0.entry(name.to_owned()).or_default().push(sample);
        }
    }
    page
}

fn sample(line: &str) -> Option<(&str, Sample)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            let (label, value) = inside.split_once("=\"")?;
            let (value, behind) = quoted(value)?;
            labels.push((label.trim().to_owned(), value));
            inside = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = &inside[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, Sample { labels, value }))
}

/// The text up to the closing quote, without its escapes, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}
