//! Variables that keep a program's spans away, in the one table that `exec` and `doctor` look at.

use std::fmt;
use std::net::IpAddr;

/// A program's environment beside the addresses that its spans are to reach.
pub struct Surroundings<'a> {
    /// The value of a variable; an empty one counts as none.
    pub get: &'a dyn Fn(&str) -> Option<String>,
    /// OTLP over gRPC, such as `http://127.0.0.1:4317`.
    pub otlp_grpc: &'a str,
    /// OTLP over HTTP, without a path.
    pub otlp_http: &'a str,
    /// The program and its arguments; empty where any program may come.
    pub command: &'a [String],
}

/// A variable whose value keeps spans, or some of them, from being made, sent or joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub variable: &'static str,
    pub value: String,
    /// The effect, such as `turns the whole SDK off`.
    pub effect: String,
    pub cure: String,
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

/// An endpoint as exporters read it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
}

/// A row of the table.
struct Setting {
    /// The first that is set counts: a signal's own variable goes before the general one.
    variables: &'static [&'static str],
    is_bad: fn(&str, &Surroundings<'_>) -> bool,
    /// `{grpc}` and `{http}` stand for the stack's addresses.
    effect: &'static str,
    /// `{variable}` stands for the one that counts.
    cure: &'static str,
}

const ENDPOINT: &[&str] = &[
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const PROTOCOL: &[&str] = &[
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const COMPRESSION: &[&str] = &[
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
];
const INSECURE: &[&str] = &[
    "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
    "OTEL_EXPORTER_OTLP_INSECURE",
];

/// The path at which OTLP over HTTP takes spans.
const TRACES_PATH: &str = "/v1/traces";

const UNSET: &str = "unset {variable}";
const UNTRACED: &str = "leaves gRPC calls untraced";

/// The specification's variables, then those of single languages.
const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["OTEL_SDK_DISABLED"],
        is_bad: |value, _| value.eq_ignore_ascii_case("true"),
        effect: "turns the whole SDK off",
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"],
        is_bad: |_, _| true,
        effect: "makes the SDK read that file in place of the other `OTEL_` variables, the endpoint among them",
        cure: "unset {variable}, or write the endpoint {grpc} into the file",
    },
    Setting {
        variables: &["OTEL_TRACES_EXPORTER"],
        is_bad: |value, _| {
            !["otlp", "otlp_proto_grpc", "otlp_proto_http"]
                .iter()
                .any(|exporter| has(value, exporter))
        },
        effect: "sends no spans over OTLP",
        cure: UNSET,
    },
    Setting {
        variables: ENDPOINT,
        is_bad: |value, of| transport_of(value, of).is_none(),
        effect: "sends spans elsewhere; this stack takes them at {grpc} (gRPC) and {http} (HTTP)",
        cure: "unset {variable}, or set it to {grpc}",
    },
    Setting {
        variables: ENDPOINT,
        is_bad: |value, of| is_ours(value, of) && has_scheme(value, "https"),
        effect: "speaks TLS, which this stack doesn't",
        cure: "write `http://` in {variable}",
    },
    Setting {
        variables: ENDPOINT,
        is_bad: |value, of| {
            let insecure = of.first(INSECURE).is_some_and(|(_, value)| value == "true");
            is_ours(value, of) && Address::parse(value).scheme.is_none() && !insecure
        },
        effect: "has no scheme, which Python's exporter takes for TLS and HTTP exporters refuse",
        cure: "write `http://` before the address in {variable}",
    },
    Setting {
        variables: ENDPOINT,
        is_bad: |value, of| {
            let protocol = of.first(PROTOCOL);
            let spoken = protocol.and_then(|(_, protocol)| Transport::of_protocol(&protocol));
            let taken = transport_of(value, of);
            taken.is_some() && spoken.is_some() && taken != spoken
        },
        effect: "doesn't fit the protocol: gRPC goes to {grpc}, HTTP to {http}",
        cure: "unset {variable}, or change its port",
    },
    Setting {
        variables: &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
        is_bad: |value, of| {
            transport_of(value, of) == Some(Transport::Http)
                && Address::parse(value).path != TRACES_PATH
        },
        effect: "is used as it stands, and spans are taken at {http}/v1/traces alone",
        cure: "add `/v1/traces` to {variable}, or set OTEL_EXPORTER_OTLP_ENDPOINT={http}",
    },
    Setting {
        variables: ENDPOINT,
        is_bad: |value, of| {
            let is_general = of
                .first(ENDPOINT)
                .is_some_and(|(name, _)| name == ENDPOINT[1]);
            is_general
                && transport_of(value, of) == Some(Transport::Http)
                && !["", "/"].contains(&Address::parse(value).path.as_str())
        },
        effect: "has a path to which exporters add `/v1/traces`, and spans are taken at {http}/v1/traces alone",
        cure: "take the path out of {variable}",
    },
    Setting {
        variables: PROTOCOL,
        is_bad: |value, _| !["grpc", "http/protobuf", "http/json"].contains(&value),
        effect: "names no protocol of OTLP, at which SDKs fail or take their default",
        cure: "set {variable} to `grpc` or `http/protobuf`",
    },
    Setting {
        variables: PROTOCOL,
        is_bad: |value, of| value == "http/json" && !of.is_program(&["node", "npm", "npx", "php"]),
        effect: "stops Python's, Java's and Go's exporters, which don't know that protocol",
        cure: "set {variable} to `http/protobuf`",
    },
    Setting {
        variables: COMPRESSION,
        is_bad: |value, _| !["gzip", "none"].contains(&value),
        effect: "names a compression that most exporters refuse, so that they send nothing",
        cure: "set {variable} to `gzip`, or unset it",
    },
    Setting {
        variables: COMPRESSION,
        is_bad: |value, of| {
            let over_http = of
                .first(PROTOCOL)
                .is_some_and(|(_, protocol)| protocol.starts_with("http"));
            value == "none"
                && !over_http
                && (of.command.is_empty() || of.is_program(&["python", "opentelemetry-instrument"]))
        },
        effect: "stops Python's exporter over gRPC, which knows `gzip` alone",
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_TRACES_SAMPLER"],
        is_bad: |value, _| value.ends_with("always_off"),
        effect: "samples nothing",
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_TRACES_SAMPLER"],
        is_bad: |value, _| value.ends_with("jaeger_remote") || value.ends_with("xray"),
        effect: "samples the part of the traces that another service names",
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_TRACES_SAMPLER"],
        is_bad: |value, _| {
            let sampler = value.strip_prefix("parentbased_").unwrap_or(value);
            ![
                "always_on",
                "always_off",
                "traceidratio",
                "jaeger_remote",
                "xray",
            ]
            .contains(&sampler)
        },
        effect: "names no sampler of the specification: an SDK takes its default, or doesn't start",
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_TRACES_SAMPLER_ARG"],
        is_bad: |value, of| {
            let sampler = of.first(&["OTEL_TRACES_SAMPLER"]);
            sampler.is_some_and(|(_, sampler)| sampler.ends_with("traceidratio"))
                && value.parse::<f64>().is_ok_and(|ratio| ratio < 1.0)
        },
        effect: "samples a part of the traces",
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_PROPAGATORS"],
        is_bad: |value, _| !has(value, "tracecontext"),
        effect: "sends no `traceparent`, so that Milvus starts a trace of its own",
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_PROPAGATORS"],
        is_bad: |value, _| {
            const KNOWN: [&str; 8] = [
                "tracecontext",
                "baggage",
                "b3",
                "b3multi",
                "jaeger",
                "xray",
                "ottrace",
                "none",
            ];
            items(value).any(|item| !KNOWN.contains(&item))
        },
        effect: "names a propagator that the specification doesn't know, at which some SDKs don't start",
        cure: "set {variable} to `tracecontext,baggage`",
    },
    Setting {
        variables: &["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"],
        is_bad: |value, _| has(value, "grpc") || has(value, "grpc_client") || has(value, "*"),
        effect: UNTRACED,
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_NODE_DISABLED_INSTRUMENTATIONS"],
        is_bad: |value, _| has(value, "grpc"),
        effect: UNTRACED,
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_NODE_ENABLED_INSTRUMENTATIONS"],
        is_bad: |value, _| !has(value, "grpc"),
        effect: UNTRACED,
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_JAVAAGENT_ENABLED"],
        is_bad: |value, _| value == "false",
        effect: "turns the Java agent off",
        cure: UNSET,
    },
    Setting {
        variables: &["OTEL_INSTRUMENTATION_GRPC_ENABLED"],
        is_bad: |value, _| value == "false",
        effect: UNTRACED,
        cure: UNSET,
    },
];

/// The settings that keep spans away, in the table's order.
pub fn complaints(surroundings: &Surroundings<'_>) -> Vec<Complaint> {
    let filled = |text: &str, variable: &str| {
        text.replace("{variable}", variable)
            .replace("{grpc}", surroundings.otlp_grpc)
            .replace("{http}", surroundings.otlp_http)
    };
    let complaint = |setting: &Setting| {
        let (variable, value) = surroundings.first(setting.variables)?;
        (setting.is_bad)(&value, surroundings).then(|| Complaint {
            variable,
            effect: filled(setting.effect, variable),
            cure: filled(setting.cure, variable),
            value,
        })
    };
    SETTINGS.iter().filter_map(complaint).collect()
}

/// How this stack takes OTLP at an endpoint; `None` where the endpoint isn't the stack's.
pub fn transport_of(endpoint: &str, surroundings: &Surroundings<'_>) -> Option<Transport> {
    let address = Address::parse(endpoint);
    if address.is_at(&Address::parse(surroundings.otlp_grpc)) {
        Some(Transport::Grpc)
    } else if address.is_at(&Address::parse(surroundings.otlp_http)) {
        Some(Transport::Http)
    } else {
        None
    }
}

fn is_ours(endpoint: &str, surroundings: &Surroundings<'_>) -> bool {
    transport_of(endpoint, surroundings).is_some()
}

impl Surroundings<'_> {
    /// A variable's value without the blanks around it; an empty one counts as none.
    pub fn value(&self, variable: &str) -> Option<String> {
        let value = (self.get)(variable)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The first of several variables that has a value.
    fn first(&self, variables: &'static [&'static str]) -> Option<(&'static str, String)> {
        variables
            .iter()
            .find_map(|variable| Some((*variable, self.value(variable)?)))
    }

    /// Whether the command's program is one of these, whatever follows in its name (`python3.12`).
    fn is_program(&self, names: &[&str]) -> bool {
        let file = self
            .command
            .first()
            .and_then(|program| program.rsplit('/').next());
        file.is_some_and(|file| names.iter().any(|name| file.starts_with(name)))
    }
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("otlp_grpc", &self.otlp_grpc)
            .field("otlp_http", &self.otlp_http)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// That of a protocol's name, such as `http/protobuf`.
    pub fn of_protocol(name: &str) -> Option<Self> {
        match name {
            "grpc" => Some(Self::Grpc),
            _ => name.starts_with("http").then_some(Self::Http),
        }
    }

    /// The protocol's name for exporters of any language.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        }
    }

    /// The stack's endpoint for one signal (`traces`), or for all of them.
    pub fn endpoint(self, signal: Option<&str>, surroundings: &Surroundings<'_>) -> String {
        match (self, signal) {
            (Self::Grpc, _) => surroundings.otlp_grpc.to_owned(),
            (Self::Http, None) => surroundings.otlp_http.to_owned(),
            (Self::Http, Some(signal)) => format!("{}/v1/{signal}", surroundings.otlp_http),
        }
    }
}

impl Address {
    fn parse(text: &str) -> Self {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let port = authority
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = match port {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        Self {
            scheme,
            host: host.trim_matches(['[', ']']).to_ascii_lowercase(),
            port,
            path: path.to_owned(),
        }
    }

    /// Loopback has many names.
    fn is_loopback(&self) -> bool {
        let ip: Option<IpAddr> = self.host.parse().ok();
        self.host == "localhost" || ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified())
    }

    fn is_at(&self, other: &Self) -> bool {
        let same_host = self.host == other.host || (self.is_loopback() && other.is_loopback());
        same_host && self.port.is_some() && self.port == other.port
    }
}

fn has_scheme(endpoint: &str, scheme: &str) -> bool {
    Address::parse(endpoint).scheme.as_deref() == Some(scheme)
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

fn has(list: &str, item: &str) -> bool {
    items(list).any(|one| one == item)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRPC: &str = "http://127.0.0.1:4317";
    const HTTP: &str = "http://127.0.0.1:4318";

    /// `VARIABLE: effect` of every complaint about `settings`, which are `NAME=VALUE` words.
    fn told(settings: &str, command: &str) -> Vec<String> {
        let get = |name: &str| {
            let pairs = settings
                .split(' ')
                .filter_map(|setting| setting.split_once('='));
            pairs
                .into_iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned())
        };
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let surroundings = Surroundings {
            get: &get,
            otlp_grpc: GRPC,
            otlp_http: HTTP,
            command: &command,
        };
        complaints(&surroundings)
            .into_iter()
            .map(|found| format!("{}: {}", found.variable, found.effect))
            .collect()
    }

    #[test]
    fn a_setting_that_keeps_spans_away_is_told_with_its_effect() {
        let check = |settings: &str, effect: Option<&str>| {
            let found = told(settings, "");
            assert_eq!(
                found.len(),
                usize::from(effect.is_some()),
                "{settings}: {found:?}"
            );
            if let Some(effect) = effect {
                assert!(found[0].contains(effect), "{settings}: {found:?}");
            }
        };
        check("", None);
        check("OTEL_SDK_DISABLED=true", Some("turns the whole SDK off"));
        check("OTEL_SDK_DISABLED=false", None);
        check("OTEL_SDK_DISABLED=", None);
        check("OTEL_CONFIG_FILE=otel.yaml", Some("in place of the other"));
        check("OTEL_TRACES_EXPORTER=none", Some("no spans over OTLP"));
        check("OTEL_TRACES_EXPORTER=console", Some("no spans over OTLP"));
        check("OTEL_TRACES_EXPORTER=console,otlp", None);
        check(
            "OTEL_TRACES_SAMPLER=parentbased_always_off",
            Some("samples nothing"),
        );
        check("OTEL_TRACES_SAMPLER=parentbased_always_on", None);
        check(
            "OTEL_TRACES_SAMPLER=parentbased_jaeger_remote",
            Some("another service"),
        );
        check("OTEL_TRACES_SAMPLER=always", Some("names no sampler"));
        check(
            "OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0.25",
            Some("samples a part"),
        );
        check(
            "OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=1.0",
            None,
        );
        // Without a sampler that reads it, it does nothing.
        check("OTEL_TRACES_SAMPLER_ARG=0.25", None);
        check("OTEL_PROPAGATORS=b3", Some("sends no `traceparent`"));
        check("OTEL_PROPAGATORS=none", Some("sends no `traceparent`"));
        check("OTEL_PROPAGATORS=tracecontext,baggage", None);
        check(
            "OTEL_PROPAGATORS=tracecontext,w3c",
            Some("names a propagator"),
        );
        check(
            "OTEL_NODE_ENABLED_INSTRUMENTATIONS=http",
            Some("gRPC calls untraced"),
        );
    }

    #[test]
    fn an_endpoint_is_compared_with_the_stack_in_host_port_scheme_path_and_protocol() {
        let check = |settings: &str, expected: Option<&str>| {
            let found = told(settings, "");
            match expected {
                None => assert_eq!(found, Vec::<String>::new(), "{settings}"),
                Some(part) => {
                    assert_eq!(found.len(), 1, "{settings}: {found:?}");
                    assert!(found[0].contains(part), "{settings}: {found:?}");
                }
            }
        };
        let general = "OTEL_EXPORTER_OTLP_ENDPOINT=";
        let traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=";
        check(&format!("{general}http://localhost:4317"), None);
        check(&format!("{general}http://[::1]:4318"), None);
        check(&format!("{general}http://localhost:4318/"), None);
        check(
            &format!("{general}http://127.0.0.1:9"),
            Some("sends spans elsewhere"),
        );
        check(
            &format!("{general}http://collector.example:4317"),
            Some("sends spans elsewhere"),
        );
        check(
            &format!("{general}http://localhost"),
            Some("sends spans elsewhere"),
        );
        check(
            &format!("{traces}http://collector.example:4318/v1/traces"),
            Some("sends spans elsewhere"),
        );
        // A signal's own endpoint counts alone.
        check(
            &format!("{general}http://collector:1 {traces}http://localhost:4318/v1/traces"),
            None,
        );
        check(
            &format!("{general}https://localhost:4317"),
            Some("speaks TLS"),
        );
        check(&format!("{general}localhost:4317"), Some("has no scheme"));
        check(
            &format!("{general}localhost:4317 OTEL_EXPORTER_OTLP_INSECURE=true"),
            None,
        );
        check(
            &format!("{traces}http://localhost:4318"),
            Some("used as it stands"),
        );
        check(
            &format!("{general}http://localhost:4318/v1/traces"),
            Some("has a path"),
        );
        let http = "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf";
        check(
            &format!("{general}http://localhost:4317 {http}"),
            Some("doesn't fit the protocol"),
        );
        check(&format!("{general}http://localhost:4318 {http}"), None);
        check(
            &format!(
                "{general}http://localhost:4317 OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"
            ),
            Some("doesn't fit the protocol"),
        );
        check(
            "OTEL_EXPORTER_OTLP_PROTOCOL=http",
            Some("names no protocol"),
        );
    }

    #[test]
    fn what_stops_single_languages_is_told_to_their_programs() {
        let check = |settings: &str, command: &str, count: usize| {
            let found = told(settings, command);
            assert_eq!(found.len(), count, "{settings}, {command}: {found:?}");
        };
        let json = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json";
        check(json, "/usr/bin/python3.12 app.py", 1);
        check(json, "", 1);
        check(json, "node app.mjs", 0);
        let none = "OTEL_EXPORTER_OTLP_COMPRESSION=none";
        check(none, "opentelemetry-instrument python app.py", 1);
        check(none, "node app.mjs", 0);
        check(
            &format!("{none} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
            "python app.py",
            0,
        );
        check(
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=zstd",
            "node app.mjs",
            1,
        );
        check("OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "python app.py", 0);
    }
}
