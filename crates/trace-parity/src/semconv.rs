//! The semantic convention lens: one thing, and what each generation of the conventions calls it.
//!
//! Source: the OpenTelemetry semantic conventions' attribute registry and its schema changes. `rpc`: v1.20 and before, v1.21 to v1.38,
//! v1.39 to v1.44, and what the main branch holds for the next. `db`: what was before, and what is stable since v1.33.

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
        retyped: &[(New, "string"), (Next, "string")],
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

/// gRPC's status codes by number, as 1.39 and later write them.
pub(crate) const GRPC_STATUS: [&str; 17] = [
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

/// A concept that only its name changed of.
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

/// Parts a fully qualified method, as 1.39 and later write `rpc.method`.
pub(crate) fn qualified(method: &str) -> (Option<&str>, &str) {
    match method.trim_start_matches('/').rsplit_once('/') {
        Some((service, method)) => (Some(service), method),
        None => (None, method),
    }
}

#[cfg(test)]
mod tests {
    use super::{DB, RPC, RpcName, names_of, rpc_name};

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
