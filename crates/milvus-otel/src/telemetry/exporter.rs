//! The exporters that the environment asks for, of each signal.

use super::setup_error::SetupError;
use super::variable::{listed, variable};
use super::warnings::Warnings;

/// A signal's own variables, and its exporter where the first is unset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    exporter: &'static str,
    default: &'static str,
    protocol: &'static str,
}

pub(super) const TRACES: Signal = Signal {
    exporter: "OTEL_TRACES_EXPORTER",
    default: "otlp",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
};

/// Off by default: many backends take only traces, and the program may have a provider of its own.
#[cfg(feature = "metrics")]
pub(super) const METRICS: Signal = Signal {
    exporter: "OTEL_METRICS_EXPORTER",
    default: "none",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
};

#[cfg(feature = "logs")]
pub(super) const LOGS: Signal = Signal {
    exporter: "OTEL_LOGS_EXPORTER",
    default: "none",
    protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
};

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transport {
    Grpc,
    #[cfg(feature = "otlp-http")]
    Http,
}

/// Builds an exporter of `opentelemetry_otlp` for the signal's transport.
macro_rules! exporter {
    ($exporter:ident, $signal:expr) => {{
        let built = match $signal.transport()? {
            $crate::telemetry::exporter::Transport::Grpc => {
                opentelemetry_otlp::$exporter::builder()
                    .with_tonic()
                    .build()
            }
            #[cfg(feature = "otlp-http")]
            $crate::telemetry::exporter::Transport::Http => {
                opentelemetry_otlp::$exporter::builder().with_http().build()
            }
        };
        built.map_err(|error| SetupError::Exporter(error.into()))
    }};
}
pub(super) use exporter;

impl Signal {
    /// Whether the environment asks for OTLP.
    pub(super) fn is_exported(self, warnings: &mut Warnings) -> Result<bool, SetupError> {
        let read = |name: &str| match name {
            "otlp" => Some(true),
            "none" => Some(false),
            _ => None,
        };
        let known = "`otlp`, `none`";
        let exporters = listed(self.exporter, self.default, known, warnings, read)?;
        Ok(exporters.contains(&true))
    }

    pub(super) fn transport(self) -> Result<Transport, SetupError> {
        let variables = [self.protocol, "OTEL_EXPORTER_OTLP_PROTOCOL"];
        let asked = variables
            .into_iter()
            .find_map(|name| Some((name, variable(name)?)));
        match asked {
            None => Ok(Transport::Grpc),
            Some((_, value)) if value == "grpc" => Ok(Transport::Grpc),
            #[cfg(feature = "otlp-http")]
            Some((_, value)) if value == "http/protobuf" => Ok(Transport::Http),
            Some((variable, value)) => Err(SetupError::Unknown {
                variable,
                value,
                known: if cfg!(feature = "otlp-http") {
                    "`grpc`, `http/protobuf`"
                } else {
                    "`grpc` (and `http/protobuf` with the feature `otlp-http` of the crate `milvus-otel`)"
                },
            }),
        }
    }
}
