//! The standard OpenTelemetry variables: those that a program of the user's gets, and those that keep its spans away.

use std::collections::BTreeMap;

use crate::prepare::example::Example;
use crate::stack::bring_up::RunningStack;

/// A variable whose value keeps spans, or some of them, from being made, sent or joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub variable: &'static str,
    pub value: String,
    /// The effect, such as `turns the whole SDK off`.
    pub what: &'static str,
}

/// A setting that keeps spans away.
struct Setting {
    variable: &'static str,
    is_bad: fn(&str) -> bool,
    what: &'static str,
}

/// Every SDK's own, by the specification's names, then those of single languages.
const SETTINGS: &[Setting] = &[
    Setting {
        variable: "OTEL_SDK_DISABLED",
        is_bad: |value| value.eq_ignore_ascii_case("true"),
        what: "turns the whole SDK off",
    },
    Setting {
        variable: "OTEL_TRACES_EXPORTER",
        is_bad: |value| {
            !has(value, "otlp") && !has(value, "otlp_proto_grpc") && !has(value, "otlp_proto_http")
        },
        what: "sends no spans over OTLP",
    },
    Setting {
        variable: "OTEL_TRACES_SAMPLER",
        is_bad: |value| value.ends_with("always_off"),
        what: "samples nothing",
    },
    Setting {
        variable: "OTEL_TRACES_SAMPLER_ARG",
        is_bad: |value| value.parse::<f64>().is_ok_and(|ratio| ratio < 1.0),
        what: "samples a part of the traces",
    },
    Setting {
        variable: "OTEL_PROPAGATORS",
        is_bad: |value| !has(value, "tracecontext"),
        what: "sends no `traceparent`, so that Milvus starts a trace of its own",
    },
    Setting {
        variable: "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        is_bad: |value| has(value, "grpc") || has(value, "grpc_client") || has(value, "*"),
        what: "leaves gRPC calls untraced",
    },
    Setting {
        variable: "OTEL_NODE_DISABLED_INSTRUMENTATIONS",
        is_bad: |value| has(value, "grpc"),
        what: "leaves gRPC calls untraced",
    },
    Setting {
        variable: "OTEL_NODE_ENABLED_INSTRUMENTATIONS",
        is_bad: |value| !has(value, "grpc"),
        what: "leaves gRPC calls untraced",
    },
    Setting {
        variable: "OTEL_JAVAAGENT_ENABLED",
        is_bad: |value| value == "false",
        what: "turns the Java agent off",
    },
    Setting {
        variable: "OTEL_INSTRUMENTATION_GRPC_ENABLED",
        is_bad: |value| value == "false",
        what: "leaves gRPC calls untraced",
    },
];

/// Where the specification has the addresses of a program's exporter.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// Settings in `get`'s environment that keep spans away.
pub fn complaints(get: impl Fn(&str) -> Option<String>) -> Vec<Complaint> {
    SETTINGS
        .iter()
        .filter_map(|setting| {
            let value = get(setting.variable)?;
            (!value.is_empty() && (setting.is_bad)(value.trim())).then_some(Complaint {
                variable: setting.variable,
                value,
                what: setting.what,
            })
        })
        .collect()
}

/// The address that a program's exporter takes from `get`'s environment, and the variable that says so.
pub fn endpoint(get: impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    ENDPOINTS
        .into_iter()
        .find_map(|name| Some((name, get(name).filter(|value| !value.is_empty())?)))
}

/// The standard variables for a program that runs against `stack`. What `get` has stays as it is; `attributes` join its
/// resource attributes, in place of any of the same names.
pub fn for_program(
    get: impl Fn(&str) -> Option<String>,
    attributes: &[(&str, &str)],
    stack: &RunningStack,
) -> BTreeMap<String, String> {
    let set = |name: &str| get(name).is_some_and(|value| !value.is_empty());
    let mut variables = BTreeMap::new();
    variables.insert(
        "OTEL_RESOURCE_ATTRIBUTES".to_owned(),
        with_attributes(
            &get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default(),
            attributes,
        ),
    );
    if !set("OTEL_EXPORTER_OTLP_ENDPOINT") {
        let over_http =
            get("OTEL_EXPORTER_OTLP_PROTOCOL").is_some_and(|protocol| protocol.starts_with("http"));
        let (protocol, endpoint) = if over_http {
            (None, &stack.otlp_http)
        } else {
            (Some("grpc"), &stack.otlp_grpc)
        };
        variables.insert("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint.clone());
        if let Some(protocol) = protocol {
            variables.insert(
                "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned(),
                protocol.to_owned(),
            );
        }
    }
    if !set("MILVUS_URI") {
        variables.insert("MILVUS_URI".to_owned(), stack.milvus_uri.clone());
    }
    variables
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
        ("MILVUS_URI", stack.milvus_uri.clone()),
        ("MILVUS_COLLECTION", collection),
    ];
    let standard = standard.map(|(name, value)| (name.to_owned(), value));
    standard
        .into_iter()
        .chain(example.run.env.clone())
        .collect()
}

/// Notes on the environment of a user's program, before its verdict.
pub fn notes(stack: &RunningStack) -> Vec<String> {
    let get = |name: &str| std::env::var(name).ok();
    let mut notes: Vec<String> = complaints(get)
        .into_iter()
        .map(|found| format!("`{}={}` {}", found.variable, found.value, found.what))
        .collect();
    if let Some((variable, value)) = endpoint(get)
        && !is_same_port(&value, &stack.otlp_grpc)
        && !is_same_port(&value, &stack.otlp_http)
    {
        notes.push(format!(
            "`{variable}={value}` sends the spans elsewhere; this stack takes them at {}",
            stack.otlp_grpc
        ));
    }
    notes
}

/// Loopback has many names; a port on it has one holder.
pub fn is_same_port(one: &str, other: &str) -> bool {
    let port = |address: &str| {
        let authority = address.split("://").last()?.split('/').next()?;
        authority.rsplit_once(':')?.1.parse::<u16>().ok()
    };
    port(one).is_some() && port(one) == port(other)
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

fn has(list: &str, item: &str) -> bool {
    list.split(',').any(|one| one.trim() == item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_keeps_spans_away_is_found() {
        let check = |variable: &str, value: &str, what: Option<&str>| {
            let found = complaints(|name| (name == variable).then(|| value.to_owned()));
            let found: Vec<_> = found.iter().map(|complaint| complaint.what).collect();
            assert_eq!(
                found,
                what.into_iter().collect::<Vec<_>>(),
                "{variable}={value}"
            );
        };
        check("OTEL_SDK_DISABLED", "true", Some("turns the whole SDK off"));
        check("OTEL_SDK_DISABLED", "false", None);
        check("OTEL_SDK_DISABLED", "", None);
        check(
            "OTEL_TRACES_EXPORTER",
            "none",
            Some("sends no spans over OTLP"),
        );
        check(
            "OTEL_TRACES_EXPORTER",
            "console",
            Some("sends no spans over OTLP"),
        );
        check("OTEL_TRACES_EXPORTER", "console, otlp", None);
        check(
            "OTEL_TRACES_SAMPLER",
            "parentbased_always_off",
            Some("samples nothing"),
        );
        check("OTEL_TRACES_SAMPLER", "parentbased_always_on", None);
        check(
            "OTEL_TRACES_SAMPLER_ARG",
            "0.25",
            Some("samples a part of the traces"),
        );
        check("OTEL_TRACES_SAMPLER_ARG", "1.0", None);
        check(
            "OTEL_PROPAGATORS",
            "b3",
            Some("sends no `traceparent`, so that Milvus starts a trace of its own"),
        );
        check("OTEL_PROPAGATORS", "tracecontext,baggage", None);
        check(
            "OTEL_NODE_ENABLED_INSTRUMENTATIONS",
            "http",
            Some("leaves gRPC calls untraced"),
        );
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

    #[test]
    fn an_address_is_known_by_its_port() {
        let check = |one: &str, other: &str, same: bool| {
            assert_eq!(is_same_port(one, other), same, "{one} {other}");
        };
        check("http://localhost:4317", "http://127.0.0.1:4317", true);
        check("localhost:4317", "http://127.0.0.1:4317", true);
        check("http://[::1]:4318/v1/traces", "http://127.0.0.1:4318", true);
        check("http://collector:9999", "http://127.0.0.1:4317", false);
        check("http://collector", "http://127.0.0.1:4317", false);
    }
}
