//! Which generation of OpenTelemetry's RPC conventions the spans follow, and the names that each has.

use opentelemetry_semantic_conventions::attribute;

/// The environment variable by which a program asks for newer conventions.
const OPT_IN: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

#[cfg(feature = "client")]
pub(crate) use attribute::{
    DB_COLLECTION_NAME, DB_NAMESPACE, DB_OPERATION_NAME, DB_RESPONSE_STATUS_CODE, DB_SYSTEM_NAME,
};
pub(crate) use attribute::{
    ERROR_TYPE, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME, SERVER_ADDRESS, SERVER_PORT,
};

#[cfg(all(feature = "client", feature = "metrics"))]
pub(crate) use opentelemetry_semantic_conventions::metric::DB_CLIENT_OPERATION_DURATION;
#[cfg(feature = "metrics")]
pub(crate) use opentelemetry_semantic_conventions::metric::RPC_CLIENT_CALL_DURATION;

#[expect(
    deprecated,
    reason = "they are the default until a program opts in to their successors"
)]
mod old {
    use super::attribute;

    pub(crate) const RPC_SYSTEM: &str = attribute::RPC_SYSTEM;
    pub(crate) const RPC_SERVICE: &str = attribute::RPC_SERVICE;
    pub(crate) const RPC_GRPC_STATUS_CODE: &str = attribute::RPC_GRPC_STATUS_CODE;
    #[cfg(feature = "metrics")]
    pub(crate) const RPC_CLIENT_DURATION: &str =
        opentelemetry_semantic_conventions::metric::RPC_CLIENT_DURATION;
}
#[cfg(feature = "metrics")]
pub(crate) use old::RPC_CLIENT_DURATION;
pub(crate) use old::{RPC_GRPC_STATUS_CODE, RPC_SERVICE, RPC_SYSTEM};

/// `grpc-previous-rpc-attempts` as an attribute, in the old conventions and in the new.
pub(crate) const PREVIOUS_ATTEMPTS: (&str, &str) = (
    "rpc.grpc.request.metadata.grpc-previous-rpc-attempts",
    "rpc.request.metadata.grpc-previous-rpc-attempts",
);

/// A generation of the RPC conventions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conventions {
    /// Up to v1.38: `rpc.system`, `rpc.service`, the bare `rpc.method`, `rpc.grpc.status_code` as an integer.
    #[default]
    Old,
    /// From v1.39 on: `rpc.system.name`, the fully qualified `rpc.method`, `rpc.response.status_code` as a string.
    New,
    /// Both. They share the key `rpc.method`, where the new meaning wins.
    Both,
}

impl Conventions {
    /// What `OTEL_SEMCONV_STABILITY_OPT_IN` asks for: [`New`](Self::New) where its list has `rpc`,
    /// [`Both`](Self::Both) where it has `rpc/dup`, [`Old`](Self::Old) otherwise.
    pub fn from_env() -> Self {
        Self::from_opt_in(&std::env::var(OPT_IN).unwrap_or_default())
    }

    fn from_opt_in(list: &str) -> Self {
        let asks_for = |name| list.split(',').any(|item| item.trim() == name);
        match (asks_for("rpc/dup"), asks_for("rpc")) {
            (true, _) => Self::Both,
            (_, true) => Self::New,
            _ => Self::Old,
        }
    }

    pub(crate) fn has_old(self) -> bool {
        self != Self::New
    }

    pub(crate) fn has_new(self) -> bool {
        self != Self::Old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opt_in_is_a_list_in_which_dup_wins() {
        let cases = [
            ("", Conventions::Old),
            ("http,database", Conventions::Old),
            ("rpc", Conventions::New),
            ("http, rpc", Conventions::New),
            ("rpc/dup", Conventions::Both),
            ("rpc,rpc/dup", Conventions::Both),
            ("rpcs", Conventions::Old),
        ];
        for (list, expected) in cases {
            assert_eq!(Conventions::from_opt_in(list), expected, "{list:?}");
        }
    }
}
