//! The standard variables that programs are given, so that their spans, metrics and logs reach the stack.

use std::collections::BTreeMap;

use crate::prepare::example::Example;
use crate::run::settings::{self, Surroundings, Transport};
use crate::stack::bring_up::RunningStack;

/// The signals whose endpoint and protocol have variables of their own, with OTLP's paths.
const SIGNALS: [(&str, &str); 3] = [
    ("TRACES", "traces"),
    ("METRICS", "metrics"),
    ("LOGS", "logs"),
];

/// A program's own environment, beside the stack that it runs against.
pub fn surroundings<'a>(
    get: &'a dyn Fn(&str) -> Option<String>,
    stack: &'a RunningStack,
    command: &'a [String],
) -> Surroundings<'a> {
    Surroundings {
        get,
        otlp_grpc: &stack.otlp_grpc,
        otlp_http: &stack.otlp_http,
        command,
    }
}

/// The standard variables for a program of the user's. Variables that it has stay as they are; `attributes` join its
/// resource attributes, in place of any of the same names.
pub fn for_program(
    surroundings: &Surroundings<'_>,
    attributes: &[(&str, &str)],
    stack: &RunningStack,
) -> BTreeMap<String, String> {
    let own = surroundings.value("OTEL_RESOURCE_ATTRIBUTES");
    let mut variables = exporter(surroundings);
    variables.insert(
        "OTEL_RESOURCE_ATTRIBUTES".to_owned(),
        with_attributes(own.as_deref().unwrap_or_default(), attributes),
    );
    if surroundings.value("MILVUS_URI").is_none() {
        variables.insert("MILVUS_URI".to_owned(), stack.milvus_uri.clone());
    }
    let exporters = exporters(stack).filter(|(name, _)| surroundings.value(name).is_none());
    if is_sent_here(surroundings) {
        variables.extend(exporters.map(|(name, value)| (name.to_owned(), value)));
    }
    variables
}

/// Endpoints and protocols that fit each other and those that the program has. An endpoint elsewhere is left alone.
fn exporter(surroundings: &Surroundings<'_>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let (protocol, endpoint) = names("");
    let general = match (surroundings.value(&protocol), surroundings.value(&endpoint)) {
        (protocol_set, None) => {
            let set = protocol_set.as_deref().and_then(Transport::of_protocol);
            let transport = set.unwrap_or(Transport::Grpc);
            variables.insert(endpoint, transport.endpoint(None, surroundings));
            if protocol_set.is_none() {
                variables.insert(protocol, transport.protocol().to_owned());
            }
            Some(transport)
        }
        (protocol_set, Some(own)) => {
            let transport = settings::transport_of(&own, surroundings);
            if let (None, Some(transport)) = (protocol_set, transport) {
                variables.insert(protocol, transport.protocol().to_owned());
            }
            transport
        }
    };
    for (prefix, signal) in SIGNALS {
        let (protocol, endpoint) = names(&format!("{prefix}_"));
        match (surroundings.value(&protocol), surroundings.value(&endpoint)) {
            (Some(own), None) => {
                let transport = Transport::of_protocol(&own);
                if let (Some(transport), Some(_)) = (transport, general)
                    && Some(transport) != general
                {
                    variables.insert(endpoint, transport.endpoint(Some(signal), surroundings));
                }
            }
            (None, Some(own)) => {
                let transport = settings::transport_of(&own, surroundings);
                if let Some(transport) = transport.filter(|_| transport != general) {
                    variables.insert(protocol, transport.protocol().to_owned());
                }
            }
            _ => {}
        }
    }
    variables
}

/// Whether signals without an endpoint of their own come to the stack.
fn is_sent_here(surroundings: &Surroundings<'_>) -> bool {
    let (_, endpoint) = names("");
    let own = surroundings.value(&endpoint);
    own.is_none_or(|own| settings::transport_of(&own, surroundings).is_some())
}

/// Turns metrics and logs on where the stack's receiver takes them.
fn exporters(stack: &RunningStack) -> impl Iterator<Item = (&'static str, String)> {
    let names = ["OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"];
    names
        .into_iter()
        .filter(|_| stack.takes_all_signals)
        .map(|name| (name, "otlp".to_owned()))
}

/// The variables of protocol and endpoint, `signal` being such as `TRACES_`.
fn names(signal: &str) -> (String, String) {
    let name = |what: &str| format!("OTEL_EXPORTER_OTLP_{signal}{what}");
    (name("PROTOCOL"), name("ENDPOINT"))
}

/// The standard variables for an example; what `example.toml` sets comes last, so that it wins.
pub fn for_example(
    run: &str,
    name: &str,
    example: &Example,
    stack: &RunningStack,
) -> BTreeMap<String, String> {
    let attributes =
        format!("application=milvus-otel-test,service.instance.id={name},milvus_otel.run={run}");
    let collection = format!("quick_setup_{}", name.replace('-', "_"));
    let standard = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", stack.otlp_grpc.clone()),
        ("OTEL_RESOURCE_ATTRIBUTES", attributes),
        ("MILVUS_URI", stack.milvus_uri_of(name).to_owned()),
        ("MILVUS_COLLECTION", collection),
    ];
    standard
        .into_iter()
        .chain(exporters(stack))
        .map(|(name, value)| (name.to_owned(), value))
        .chain(example.run.env.clone())
        .collect()
}

/// Notes on the environment of a user's program, before its verdict.
pub fn notes(surroundings: &Surroundings<'_>) -> Vec<String> {
    settings::complaints(surroundings)
        .into_iter()
        .map(|found| {
            format!(
                "`{}={}` {}: {}",
                found.variable, found.value, found.effect, found.cure
            )
        })
        .collect()
}

fn with_attributes(own: &str, added: &[(&str, &str)]) -> String {
    let replaced = |pair: &&str| {
        let key = pair.split('=').next().unwrap_or_default().trim();
        added.iter().any(|(name, _)| *name == key)
    };
    let kept = own
        .split(',')
        .filter(|pair| !pair.trim().is_empty() && !replaced(pair))
        .map(str::to_owned);
    let added = added.iter().map(|(name, value)| format!("{name}={value}"));
    kept.chain(added).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_and_protocol_fit_each_other_and_the_users_own() {
        let check = |own: &str, expected: &str| {
            let get = |name: &str| {
                let mut pairs = own.split(' ').filter_map(|pair| pair.split_once('='));
                let (_, value) = pairs.find(|(known, _)| short(known) == short(name))?;
                Some(value.to_owned())
            };
            let surroundings = Surroundings {
                get: &get,
                otlp_grpc: "http://h:4317",
                otlp_http: "http://h:4318",
                command: &[],
            };
            let variables = exporter(&surroundings);
            let told: Vec<String> = variables
                .iter()
                .map(|(name, value)| format!("{}={value}", short(name)))
                .collect();
            assert_eq!(told.join(" "), expected, "{own}");
            let is_elsewhere = own.contains("//elsewhere");
            assert_eq!(is_sent_here(&surroundings), !is_elsewhere, "{own}");
        };
        check("", "ENDPOINT=http://h:4317 PROTOCOL=grpc");
        check("PROTOCOL=grpc", "ENDPOINT=http://h:4317");
        check("PROTOCOL=http/protobuf", "ENDPOINT=http://h:4318");
        check("PROTOCOL=http/json", "ENDPOINT=http://h:4318");
        check("ENDPOINT=http://h:4318", "PROTOCOL=http/protobuf");
        check("ENDPOINT=http://h:4317", "PROTOCOL=grpc");
        check("ENDPOINT=http://elsewhere:4317", "");
        check("ENDPOINT=http://elsewhere:4317 TRACES_PROTOCOL=grpc", "");
        check(
            "TRACES_PROTOCOL=http/protobuf",
            "ENDPOINT=http://h:4317 PROTOCOL=grpc TRACES_ENDPOINT=http://h:4318/v1/traces",
        );
        check(
            "PROTOCOL=http/protobuf TRACES_PROTOCOL=grpc",
            "ENDPOINT=http://h:4318 TRACES_ENDPOINT=http://h:4317",
        );
        check(
            "ENDPOINT=http://h:4317 LOGS_PROTOCOL=http/json",
            "LOGS_ENDPOINT=http://h:4318/v1/logs PROTOCOL=grpc",
        );
        check(
            "TRACES_ENDPOINT=http://h:4318/v1/traces",
            "ENDPOINT=http://h:4317 PROTOCOL=grpc TRACES_PROTOCOL=http/protobuf",
        );
        check(
            "TRACES_ENDPOINT=http://h:4317 TRACES_PROTOCOL=http/protobuf",
            "ENDPOINT=http://h:4317 PROTOCOL=grpc",
        );
    }

    fn short(name: &str) -> &str {
        name.strip_prefix("OTEL_EXPORTER_OTLP_").unwrap_or(name)
    }

    #[test]
    fn the_users_resource_attributes_stay() {
        let check = |own: &str, expected: &str| {
            assert_eq!(with_attributes(own, &[("milvus_otel.run", "r1")]), expected);
        };
        check("", "milvus_otel.run=r1");
        check("team=search", "team=search,milvus_otel.run=r1");
        check(
            "milvus_otel.run=old,team=search",
            "team=search,milvus_otel.run=r1",
        );
        check("a=b%2Cc,", "a=b%2Cc,milvus_otel.run=r1");
    }
}
