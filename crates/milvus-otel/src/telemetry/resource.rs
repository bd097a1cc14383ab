//! The resource that the environment describes.
//!
//! The SDK's own detector lets `OTEL_RESOURCE_ATTRIBUTES` win over `OTEL_SERVICE_NAME` and leaves values
//! percent-encoded; the specification has both the other way round.

use super::variable::variable;
use super::warnings::Warnings;
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{SdkProvidedResourceDetector, TelemetryResourceDetector};

const SERVICE_NAME: &str = "service.name";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The resource: `defaults`, over them the attributes of the environment, over them its service name.
pub(super) fn resource(defaults: Vec<KeyValue>, warnings: &mut Warnings) -> Resource {
    let name = variable("OTEL_SERVICE_NAME").map(|name| KeyValue::new(SERVICE_NAME, name));
    let listed = parse(&variable(ATTRIBUTES).unwrap_or_default(), warnings);
    Resource::builder_empty()
        .with_detector(Box::new(SdkProvidedResourceDetector))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(defaults.into_iter().chain(listed).chain(name))
        .build()
}

/// The attributes of a list such as `key=value,key=a%20value`.
fn parse(list: &str, warnings: &mut Warnings) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    for item in list
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        match item
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
        {
            Some((key, value)) if !key.is_empty() => {
                let value = percent_decode(value).unwrap_or_else(|| {
                    warnings.add(format!(
                        "the value of `{key}` in `{ATTRIBUTES}` isn't percent-encoded; it is used as it stands"
                    ));
                    value.to_owned()
                });
                attributes.push(KeyValue::new(key.to_owned(), value));
            }
            _ => warnings.add(format!(
                "`{item}` in `{ATTRIBUTES}` is skipped: it isn't `key=value`"
            )),
        }
    }
    attributes
}

/// The text that `text` encodes; `None` where a `%` has no two digits after it or the bytes aren't UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(is_hex.then(|| u8::from_str_radix(digits, 16).ok())??);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list, what it means, and how many of its items are warned of.
    type Case = (&'static str, &'static [(&'static str, &'static str)], usize);

    #[test]
    fn a_list_of_attributes_is_read() {
        let cases: [Case; 9] = [
            ("", &[], 0),
            ("a=b, c = d ,", &[("a", "b"), ("c", "d")], 0),
            ("env=pre%20prod", &[("env", "pre prod")], 0),
            ("a=%2C%3d%25,b=%C3%A4", &[("a", ",=%"), ("b", "ä")], 0),
            ("a=1+1=2", &[("a", "1+1=2")], 0),
            ("a=", &[("a", "")], 0),
            (
                "a=100%,b=%zz,c=%f",
                &[("a", "100%"), ("b", "%zz"), ("c", "%f")],
                3,
            ),
            (
                "a=%ff,b=%+1,c=%€",
                &[("a", "%ff"), ("b", "%+1"), ("c", "%€")],
                3,
            ),
            ("lone,=value,a=b", &[("a", "b")], 2),
        ];
        for (list, expected, warned) in cases {
            let mut warnings = Warnings::default();
            let expected: Vec<KeyValue> = expected
                .iter()
                .map(|&(key, value)| KeyValue::new(key, value))
                .collect();
            assert_eq!(parse(list, &mut warnings), expected, "{list}");
            assert_eq!(warnings.all().len(), warned, "{list}: {warnings:?}");
        }
    }
}
