//! The semantic convention lens: one thing, and what each generation of the conventions calls it.
//!
//! Source: the OpenTelemetry semantic conventions' attribute registry and its schema changes. `rpc`: v1.20 and before, v1.21 to v1.38,
//! v1.39 to v1.44, and what the main branch holds for the next. `db`: what was before, and what is stable since v1.33.

use crate::traces::Value;

/// Which conventions a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Generation {
    /// Up to 1.20, where peers were `net.*`.
    Ancient,
    /// 1.21 to 1.38.
    Old,
    /// 1.39 to 1.44.
    New,
    /// Not released.
    Next,
}

/// A group of conventions that change together.
#[derive(Debug)]
pub(crate) struct Convention {
    /// Its word in `OTEL_SEMCONV_STABILITY_OPT_IN`.
    pub(crate) opt_in: &'static str,
    /// The versions of each generation, as a message says them.
    versions: &'static [(Generation, &'static str)],
    concepts: &'static [Concept],
}

impl Convention {
    pub(crate) fn versions(&self, generation: Generation) -> &'static str {
        let found = self.versions.iter().find(|(known, _)| *known == generation);
        found.map_or("of another time", |(_, versions)| versions)
    }
}

const CONVENTIONS: &[Convention] = &[
    Convention {
        opt_in: "rpc",
        versions: &[
            (Ancient, "1.20 or before"),
            (Old, "1.38 or before"),
            (New, "1.39 to 1.44"),
            (Next, "after 1.44"),
        ],
        concepts: RPC,
    },
    Convention {
        opt_in: "database",
        versions: &[(Old, "before 1.33"), (New, "1.33 or later")],
        concepts: DB,
    },
];

/// The conventions that `name` is of.
pub(crate) fn convention(name: &str) -> Option<&'static Convention> {
    let has =
        |convention: &&Convention| convention.concepts.iter().any(|concept| concept.has(name));
    CONVENTIONS.iter().find(has)
}

/// One thing that an attribute says, whatever it is called.
#[derive(Debug)]
pub(crate) struct Concept {
    /// Newest last.
    pub(crate) names: &'static [(Generation, &'static str)],
    /// Where a generation says it within another attribute: `rpc.service` is the first part of 1.39's `rpc.method`.
    pub(crate) within: Option<(Generation, &'static str)>,
    /// Types by generation where they differ from the contract's: 1.39 writes the status as `"OK"`.
    pub(crate) retyped: &'static [(Generation, &'static str)],
}

impl Concept {
    /// Whether two generations' values say the same thing.
    pub(crate) fn same_value(&self, one: Value<'_>, other: Value<'_>) -> bool {
        if self.has("rpc.grpc.status_code") {
            return GrpcStatus::from_value(one) == GrpcStatus::from_value(other);
        }
        match (one, other) {
            (Value::Str(one), Value::Str(other)) => qualified(one).1 == qualified(other).1,
            (one, other) => one.to_string() == other.to_string(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|(_, known)| *known == name)
    }
}

use Generation::{Ancient, New, Next, Old};

pub(crate) const SYSTEM: usize = 0;
pub(crate) const SERVICE: usize = 1;
pub(crate) const METHOD: usize = 2;
pub(crate) const STATUS: usize = 3;

/// RPC client spans.
pub(crate) const RPC: &[Concept] = &[
    Concept {
        names: &[(Old, "rpc.system"), (New, "rpc.system.name")],
        within: None,
        retyped: &[],
    },
    Concept {
        names: &[(Old, "rpc.service")],
        within: Some((New, "rpc.method")),
        retyped: &[],
    },
    Concept {
        names: &[(Old, "rpc.method")],
        within: None,
        retyped: &[],
    },
    Concept {
        names: &[
            (Old, "rpc.grpc.status_code"),
            (New, "rpc.response.status_code"),
            (Next, "rpc.status_code"),
        ],
        within: None,
        retyped: &[(Old, "int"), (New, "string"), (Next, "string")],
    },
    Concept {
        names: &[(Ancient, "net.peer.name"), (Old, "server.address")],
        within: None,
        retyped: &[],
    },
    Concept {
        names: &[(Ancient, "net.peer.port"), (Old, "server.port")],
        within: None,
        retyped: &[],
    },
    Concept {
        names: &[
            (Ancient, "net.sock.peer.addr"),
            (Old, "network.peer.address"),
        ],
        within: None,
        retyped: &[],
    },
    Concept {
        names: &[(Ancient, "net.sock.peer.port"), (Old, "network.peer.port")],
        within: None,
        retyped: &[],
    },
];

/// A gRPC status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GrpcStatus(u8);

/// gRPC's status codes by number, as 1.39 and later write them.
const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl GrpcStatus {
    pub(crate) const OK: GrpcStatus = GrpcStatus(0);
    pub(crate) const CANCELLED: GrpcStatus = GrpcStatus(1);
    pub(crate) const DEADLINE_EXCEEDED: GrpcStatus = GrpcStatus(4);
    pub(crate) const RESOURCE_EXHAUSTED: GrpcStatus = GrpcStatus(8);

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        let code = u8::try_from(code).ok()?;
        (usize::from(code) < GRPC_STATUS.len()).then_some(GrpcStatus(code))
    }

    /// From a number as text, or a name in any library's spelling: `NOT_FOUND`, `NotFound`, `Canceled`.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        if let Ok(code) = text.parse() {
            return GrpcStatus::from_code(code);
        }
        let letters = |name: &'static str| name.bytes().filter(|byte| *byte != b'_');
        let same = |name: &&'static str| {
            let written = text.bytes().filter(|byte| *byte != b'_');
            written
                .map(|byte| byte.to_ascii_uppercase())
                .eq(letters(name))
        };
        if text.eq_ignore_ascii_case("canceled") {
            return Some(GrpcStatus::CANCELLED);
        }
        let place = GRPC_STATUS.iter().position(same);
        place.map(|place| GrpcStatus(place as u8))
    }

    /// From the message of a span's status, as gRPC for Java writes it: `UNAVAILABLE: io exception`.
    pub(crate) fn from_message(message: &str) -> Option<Self> {
        let code = message.split(':').next()?;
        let place = GRPC_STATUS.iter().position(|known| *known == code)?;
        GrpcStatus::from_code(place as i64).filter(|status| *status != GrpcStatus::OK)
    }

    pub(crate) fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Int(code) => GrpcStatus::from_code(code),
            Value::Str(text) => GrpcStatus::from_text(text),
            Value::Double(code) if code.fract() == 0.0 && (0.0..17.0).contains(&code) => {
                Some(GrpcStatus(code as u8))
            }
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        GRPC_STATUS[usize::from(self.0)]
    }

    /// Whether gRPC itself, a client's or a proxy's library, ends calls with this status; the others come from a server's own code.
    pub(crate) fn is_made_by_grpc(self) -> bool {
        const BY_GRPC: [&str; 9] = [
            "CANCELLED",
            "UNKNOWN",
            "DEADLINE_EXCEEDED",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "UNAUTHENTICATED",
        ];
        BY_GRPC.contains(&self.name())
    }
}

/// A concept that was only renamed.
const fn renamed(names: &'static [(Generation, &'static str)]) -> Concept {
    Concept {
        names,
        within: None,
        retyped: &[],
    }
}

/// Database client spans.
const DB: &[Concept] = &[
    renamed(&[(Old, "db.system"), (New, "db.system.name")]),
    renamed(&[(Old, "db.name"), (New, "db.namespace")]),
    renamed(&[(Old, "db.operation"), (New, "db.operation.name")]),
    renamed(&[(Old, "db.statement"), (New, "db.query.text")]),
    renamed(&[
        (Old, "db.sql.table"),
        (Old, "db.mongodb.collection"),
        (Old, "db.cassandra.table"),
        (New, "db.collection.name"),
    ]),
    renamed(&[(New, "db.query.summary")]),
    renamed(&[(New, "db.operation.batch.size")]),
    renamed(&[(New, "db.response.status_code")]),
    renamed(&[(New, "db.response.returned_rows")]),
];

/// What `name` says, in any generation.
pub(crate) fn concept(name: &str) -> Option<&'static Concept> {
    convention(name)?
        .concepts
        .iter()
        .find(|concept| concept.has(name))
}

/// Every name that conventions, old and new, have for what `attribute` says, itself included; empty for an attribute that no table
/// has.
pub fn names_of(attribute: &str) -> impl Iterator<Item = &'static str> {
    let names = concept(attribute).map_or(&[][..], |concept| concept.names);
    names.iter().map(|&(_, name)| name)
}

/// `service/method` at the end of a span's name, and what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RpcName<'n> {
    pub(crate) prefix: &'n str,
    pub(crate) service: &'n str,
    pub(crate) method: &'n str,
}

/// Splits a name that ends in `package.Service/Method`. `known` is the service whose package must not be taken for longer than it is:
/// `grpc.milvus.proto…` is `milvus.proto…` with a prefix.
pub(crate) fn rpc_name<'n>(name: &'n str, known: &str) -> Option<RpcName<'n>> {
    let (path, method) = name.rsplit_once('/')?;
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if !word(method) {
        return None;
    }
    if let Some(prefix) = path.strip_suffix(known) {
        return Some(RpcName {
            prefix,
            service: &path[prefix.len()..],
            method,
        });
    }
    let start = path
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
        .map_or(0, |at| {
            at + path[at..].chars().next().map_or(1, char::len_utf8)
        });
    let service = &path[start..];
    let (package, last) = service.rsplit_once('.')?;
    let capital = last.starts_with(|c: char| c.is_ascii_uppercase());
    (capital && !package.is_empty()).then_some(RpcName {
        prefix: &path[..start],
        service,
        method,
    })
}

/// Splits a span name of gRPC's own tracing (proposal A72): `Sent.package.Service.Method`, `Attempt.package.Service.Method`.
pub(crate) fn grpc_tracing_name(name: &str) -> Option<RpcName<'_>> {
    let prefix = ["Sent.", "Attempt."]
        .into_iter()
        .find(|prefix| name.starts_with(prefix))?;
    let (service, method) = name[prefix.len()..].rsplit_once('.')?;
    let (package, last) = service.rsplit_once('.')?;
    let capital = last.starts_with(|c: char| c.is_ascii_uppercase());
    (capital && !package.is_empty() && !method.is_empty()).then_some(RpcName {
        prefix: &name[..prefix.len()],
        service,
        method,
    })
}

/// Parts a fully qualified method, as 1.39 and later write `rpc.method`.
pub(crate) fn qualified(method: &str) -> (Option<&str>, &str) {
    match method.trim_start_matches('/').rsplit_once('/') {
        Some((service, method)) => (Some(service), method),
        None => (None, method),
    }
}

#[cfg(test)]
mod tests {
    use super::{DB, GrpcStatus, RPC, RpcName, grpc_tracing_name, names_of, rpc_name};

    #[test]
    fn a_name_has_one_meaning() {
        let mut seen = std::collections::BTreeSet::new();
        for (_, name) in [RPC, DB]
            .into_iter()
            .flatten()
            .flat_map(|concept| concept.names)
        {
            assert!(seen.insert(name), "{name}");
        }
        assert_eq!(
            names_of("db.statement").collect::<Vec<_>>(),
            ["db.statement", "db.query.text"]
        );
        assert_eq!(
            names_of("rpc.system.name").collect::<Vec<_>>(),
            ["rpc.system", "rpc.system.name"]
        );
        assert_eq!(names_of("thread.id").count(), 0);
    }

    #[test]
    fn statuses_in_every_spelling() {
        let check = |text: &str, expected: Option<&str>| {
            let found = GrpcStatus::from_text(text).map(GrpcStatus::name);
            assert_eq!(found, expected, "{text}");
        };
        check("14", Some("UNAVAILABLE"));
        check("NOT_FOUND", Some("NOT_FOUND"));
        check("NotFound", Some("NOT_FOUND"));
        check("Canceled", Some("CANCELLED"));
        check("CANCELLED", Some("CANCELLED"));
        check("DeadlineExceeded", Some("DEADLINE_EXCEEDED"));
        check("ok", Some("OK"));
        check("17", None);
        check("-1", None);
        check("", None);
        check("Teapot", None);
    }

    #[test]
    fn statuses_in_messages() {
        let check = |message: &str, expected: Option<&str>| {
            let found = GrpcStatus::from_message(message).map(GrpcStatus::name);
            assert_eq!(found, expected, "{message}");
        };
        check("UNAVAILABLE: io exception", Some("UNAVAILABLE"));
        check("DEADLINE_EXCEEDED", Some("DEADLINE_EXCEEDED"));
        check("OK", None);
        check("Unavailable: no", None);
        check("connection refused", None);
        check("", None);
    }

    #[test]
    fn names_of_grpc_tracing() {
        let check = |name: &str, expected: Option<(&str, &str)>| {
            let found = grpc_tracing_name(name).map(|name| (name.service, name.method));
            assert_eq!(found, expected, "{name}");
        };
        let milvus = "milvus.proto.milvus.MilvusService";
        check(
            "Sent.milvus.proto.milvus.MilvusService.Insert",
            Some((milvus, "Insert")),
        );
        check(
            "Attempt.milvus.proto.milvus.MilvusService.Insert",
            Some((milvus, "Insert")),
        );
        check("Recv.milvus.proto.milvus.MilvusService.Insert", None);
        check("Sent.message", None);
        check("Sent.a.b.c", None);
        check("Sent.", None);
    }

    #[test]
    fn names() {
        let check = |name: &str, expected: Option<(&str, &str, &str)>| {
            let expected = expected.map(|(prefix, service, method)| RpcName {
                prefix,
                service,
                method,
            });
            assert_eq!(
                rpc_name(name, "milvus.proto.milvus.MilvusService"),
                expected,
                "{name}"
            );
        };
        let milvus = "milvus.proto.milvus.MilvusService";
        check(
            "milvus.proto.milvus.MilvusService/Insert",
            Some(("", milvus, "Insert")),
        );
        check(
            "/milvus.proto.milvus.MilvusService/Insert",
            Some(("/", milvus, "Insert")),
        );
        check(
            "grpc.milvus.proto.milvus.MilvusService/Insert",
            Some(("grpc.", milvus, "Insert")),
        );
        check(
            "Sent milvus.proto.milvus.MilvusService/Insert",
            Some(("Sent ", milvus, "Insert")),
        );
        check("/a.b.Echo/Say", Some(("/", "a.b.Echo", "Say")));
        check("é/a.b.Echo/Say", Some(("é/", "a.b.Echo", "Say")));
        check("GET https://example.com/path", None);
        check("test_milvus_otel", None);
        check("Echo/Say", None);
        check(".Echo/Say", None);
        check("a.b.Echo/", None);
        check("/", None);
    }
}
