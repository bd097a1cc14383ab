//! The filter of [`Telemetry::tracing_layer`](super::Telemetry::tracing_layer).

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// The crates that carry a call, and OpenTelemetry's own: at `TRACE` they make hundreds of spans for one RPC, each of
/// which would be exported.
const CARRIERS: [&str; 13] = [
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "opentelemetry",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "tokio_util",
    "tonic",
    "tower",
    "want",
];

/// Passes all spans and events except those of the crates that transport a call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WithoutTransport;

impl<S: Subscriber> Filter<S> for WithoutTransport {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        !is_carrier(metadata.target())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_carrier(metadata.target()) {
            Interest::never()
        } else {
            Interest::always()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        None
    }
}

/// OpenTelemetry's targets are the names of its packages, others the paths of modules.
fn is_carrier(target: &str) -> bool {
    let end = target.find("::").unwrap_or(target.len());
    CARRIERS.contains(&&*target[..end].replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::is_carrier;

    #[test]
    fn a_target_is_a_carriers_by_its_crate() {
        for target in [
            "h2",
            "h2::codec::framed_read",
            "hyper_util::client",
            "opentelemetry-otlp",
        ] {
            assert!(is_carrier(target), "{target}");
        }
        for target in [
            "h2o::kettle",
            "shop",
            "shop::tower",
            "tower_http::trace",
            "",
        ] {
            assert!(!is_carrier(target), "{target}");
        }
    }
}
