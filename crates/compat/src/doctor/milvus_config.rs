//! The `trace` block of a Milvus configuration.

use std::collections::BTreeMap;

/// The problems of the `trace` block of a `milvus.yaml`, each with its fix; none if there is no such block.
pub(super) fn complaints(yaml: &str) -> Vec<(String, &'static str)> {
    let block = trace_block(yaml);
    if block.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    match block.get("exporter").map(String::as_str) {
        Some("otlp" | "jaeger") => {}
        Some("stdout") => found.push((
            "`trace.exporter` is `stdout`: the server prints the spans of traced clients to its standard output, whatever `sampleFraction` is, and sends none"
                .to_owned(),
            "set `trace.exporter: otlp`",
        )),
        Some(other) => found.push((
            format!("`trace.exporter` is `{other}`: the server exports no span"),
            "set `trace.exporter: otlp`",
        )),
        None => found.push((
            "`trace.exporter` is not set: the server exports no span".to_owned(),
            "set `trace.exporter: otlp`",
        )),
    }
    let fraction = block.get("sampleFraction");
    match fraction.map(|text| text.parse::<f64>()) {
        Some(Ok(fraction)) if fraction >= 1.0 => {}
        Some(Ok(fraction)) => found.push((
            format!("`trace.sampleFraction` is {fraction}: the server starts that part of the traces that begin with it"),
            "set `trace.sampleFraction: 1` where every trace is wanted",
        )),
        Some(Err(_)) => found.push((
            format!("`trace.sampleFraction` is {:?}, no number", fraction.map_or("", String::as_str)),
            "set `trace.sampleFraction: 1`",
        )),
        None => found.push((
            "`trace.sampleFraction` is not set, and is 0 then".to_owned(),
            "set `trace.sampleFraction: 1`",
        )),
    }
    if block
        .get("exporter")
        .is_some_and(|exporter| exporter == "otlp")
        && !block.contains_key("otlp.endpoint")
    {
        found.push((
            "`trace.otlp.endpoint` is not set".to_owned(),
            "set it to the receiver's `host:port`, such as `jaeger:4317`, without `http://`",
        ));
    }
    if block
        .get("otlp.endpoint")
        .is_some_and(|endpoint| endpoint.contains("://"))
    {
        found.push((
            format!(
                "`trace.otlp.endpoint` is `{}`, with a scheme",
                block["otlp.endpoint"]
            ),
            "write `host:port` alone: the server takes the whole for a host's name",
        ));
    }
    if block.contains_key("otlp.initTimeoutSeconds") {
        found.push((
            "`initTimeoutSeconds` stands under `trace.otlp`, where Milvus doesn't read it"
                .to_owned(),
            "move it up to `trace`",
        ));
    }
    found
}

/// The keys of the `trace` block with their values. Nested keys are joined with dots.
///
/// Supports only block style, as in Milvus's own file; a YAML library would cost more than it is worth.
fn trace_block(yaml: &str) -> BTreeMap<String, String> {
    let mut block = BTreeMap::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    for line in yaml.lines() {
        let content = line.split(" #").next().unwrap_or_default();
        let trimmed = content.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let Some((key, value)) = trimmed.split_once(':') else {
            continue;
        };
        let indent = content.len() - content.trim_start().len();
        path.retain(|(outer, _)| *outer < indent);
        path.push((indent, key.trim().to_owned()));
        if path[0].1 == "trace" && path.len() > 1 {
            let keys: Vec<&str> = path[1..].iter().map(|(_, key)| key.as_str()).collect();
            let value = value.trim().trim_matches(['"', '\'']);
            if !value.is_empty() {
                block.insert(keys.join("."), value.to_owned());
            }
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_server_from_tracing_is_found_in_its_configuration() {
        let check = |yaml: &str, expected: &[&str]| {
            let found: Vec<_> = complaints(yaml).into_iter().map(|(what, _)| what).collect();
            assert_eq!(found.len(), expected.len(), "{yaml}: {found:?}");
            for (what, expected) in found.iter().zip(expected) {
                assert!(what.starts_with(expected), "{what}");
            }
        };
        let good = "etcd:\n  rootPath: by-dev\ntrace:\n  exporter: otlp # spans\n  sampleFraction: 1.0\n  otlp:\n    endpoint: \"jaeger:4317\"\n    secure: false\n";
        check(good, &[]);
        check("etcd:\n  rootPath: by-dev\n", &[]);
        check(
            &good.replace("exporter: otlp", "exporter: noop"),
            &["`trace.exporter` is `noop`: the server exports no span"],
        );
        check(
            &good.replace("exporter: otlp", "exporter: stdout"),
            &["`trace.exporter` is `stdout`: the server prints the spans of traced clients"],
        );
        check(
            &good.replace("1.0", "0.1"),
            &["`trace.sampleFraction` is 0.1"],
        );
        check(
            &good.replace("  sampleFraction: 1.0\n", ""),
            &["`trace.sampleFraction` is not set"],
        );
        check(
            &good.replace("jaeger:4317", "http://jaeger:4317"),
            &["`trace.otlp.endpoint` is `http://jaeger:4317`"],
        );
        check(
            &good.replace("    secure", "    initTimeoutSeconds: 10\n    secure"),
            &["`initTimeoutSeconds` stands under"],
        );
        check(
            &good.replace("    endpoint: \"jaeger:4317\"\n", ""),
            &["`trace.otlp.endpoint` is not set"],
        );
        check(
            "trace:\n  # exporter: otlp\n  sampleFraction: 1\n",
            &["`trace.exporter` is not set"],
        );
    }
}
