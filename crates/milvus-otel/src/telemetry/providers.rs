//! The providers of metrics and logs, each where the environment asks for its signal.

use super::exporter::exporter;
use super::setup_error::SetupError;
use super::warnings::Warnings;
use opentelemetry_sdk::Resource;
#[cfg(feature = "logs")]
use opentelemetry_sdk::logs::SdkLoggerProvider;
#[cfg(feature = "metrics")]
use opentelemetry_sdk::metrics::SdkMeterProvider;
use std::time::Duration;

/// Beside the provider of traces.
#[derive(Debug, Default)]
pub(super) struct Providers {
    #[cfg(feature = "metrics")]
    pub(super) meters: Option<SdkMeterProvider>,
    #[cfg(feature = "logs")]
    pub(super) loggers: Option<SdkLoggerProvider>,
}

impl Providers {
    /// Must be called within the exporters' runtime.
    pub(super) fn new(resource: &Resource, warnings: &mut Warnings) -> Result<Self, SetupError> {
        Ok(Self {
            #[cfg(feature = "metrics")]
            meters: match super::exporter::METRICS.is_exported(warnings)? {
                true => Some(
                    SdkMeterProvider::builder()
                        .with_resource(resource.clone())
                        .with_periodic_exporter(exporter!(
                            MetricExporter,
                            super::exporter::METRICS
                        )?)
                        .build(),
                ),
                false => None,
            },
            #[cfg(feature = "logs")]
            loggers: match super::exporter::LOGS.is_exported(warnings)? {
                true => Some(
                    SdkLoggerProvider::builder()
                        .with_resource(resource.clone())
                        .with_batch_exporter(exporter!(LogExporter, super::exporter::LOGS)?)
                        .build(),
                ),
                false => None,
            },
        })
    }

    /// Exports what is left of each signal, and ends its export. A failure is a warning.
    pub(super) fn shut_down(&self, limit: Duration) {
        #[cfg(feature = "metrics")]
        if let Some(Err(error)) = self
            .meters
            .as_ref()
            .map(|one| one.shutdown_with_timeout(limit))
        {
            tracing::warn!("metrics were lost: {error}");
        }
        #[cfg(feature = "logs")]
        if let Some(Err(error)) = self
            .loggers
            .as_ref()
            .map(|one| one.shutdown_with_timeout(limit))
        {
            tracing::warn!("log records were lost: {error}");
        }
    }
}
