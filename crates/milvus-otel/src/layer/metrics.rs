//! How long calls take, as the RPC conventions have it.

use super::method::RpcMethod;
use super::server::Server;
use super::status::Code;
use crate::semconv;
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry::{KeyValue, StringValue, global};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The boundaries that the conventions ask for calls, in seconds.
const BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Those for operations of a database.
#[cfg(feature = "client")]
const OPERATION_BOUNDARIES: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Where durations go, made at the first call as tracers are.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    meter: Option<Meter>,
    durations: OnceLock<Durations>,
    #[cfg(feature = "client")]
    operations: OnceLock<Histogram<f64>>,
}

impl Metrics {
    pub(super) fn of(meter: Meter) -> Self {
        Self {
            meter: Some(meter),
            ..Self::default()
        }
    }

    fn meter(&self) -> Meter {
        let global = || global::meter_with_scope(crate::scope());
        self.meter.clone().unwrap_or_else(global)
    }

    fn durations(&self, conventions: semconv::Conventions) -> &Durations {
        self.durations
            .get_or_init(|| Durations::new(&self.meter(), conventions))
    }

    /// Records how long an operation of the client took.
    #[cfg(feature = "client")]
    pub(super) fn record_operation(&self, took: std::time::Duration, attributes: &[KeyValue]) {
        let histogram = self.operations.get_or_init(|| {
            self.meter()
                .f64_histogram(semconv::DB_CLIENT_OPERATION_DURATION)
                .with_unit("s")
                .with_boundaries(OPERATION_BOUNDARIES.to_vec())
                .build()
        });
        histogram.record(took.as_secs_f64(), attributes);
    }
}

/// The histograms of the generations of the conventions that are asked for.
#[derive(Clone, Debug)]
struct Durations {
    old: Option<Histogram<f64>>,
    new: Option<Histogram<f64>>,
}

impl Durations {
    fn new(meter: &Meter, conventions: semconv::Conventions) -> Self {
        let histogram = |name, unit, scale: f64| {
            let boundaries = BOUNDARIES.iter().map(|boundary| boundary * scale).collect();
            meter
                .f64_histogram(name)
                .with_unit(unit)
                .with_boundaries(boundaries)
                .build()
        };
        Self {
            old: conventions
                .has_old()
                .then(|| histogram(semconv::RPC_CLIENT_DURATION, "ms", 1_000.0)),
            new: conventions
                .has_new()
                .then(|| histogram(semconv::RPC_CLIENT_CALL_DURATION, "s", 1.0)),
        }
    }
}

/// A call whose time is taken.
#[derive(Debug)]
pub(super) struct Timer {
    start: Instant,
    method: RpcMethod,
    server: Option<Server>,
}

impl Timer {
    pub(super) fn start(method: &RpcMethod, server: Option<Server>) -> Self {
        Self {
            start: Instant::now(),
            method: method.clone(),
            server,
        }
    }

    pub(super) fn stop(&self, metrics: &Metrics, conventions: semconv::Conventions, code: Code) {
        let seconds = self.start.elapsed().as_secs_f64();
        let durations = metrics.durations(conventions);
        if let Some(histogram) = &durations.old {
            histogram.record(seconds * 1_000.0, &self.old_attributes(code));
        }
        if let Some(histogram) = &durations.new {
            histogram.record(seconds, &self.new_attributes(code));
        }
    }

    fn old_attributes(&self, code: Code) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(6);
        attributes.extend([
            KeyValue::new(semconv::RPC_SYSTEM, "grpc"),
            KeyValue::new(semconv::RPC_METHOD, self.method.method()),
            KeyValue::new(semconv::RPC_GRPC_STATUS_CODE, code as i64),
        ]);
        let service = self.method.service();
        attributes.extend(service.map(|service| KeyValue::new(semconv::RPC_SERVICE, service)));
        self.add_server(attributes)
    }

    fn new_attributes(&self, code: Code) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(6);
        attributes.extend([
            KeyValue::new(semconv::RPC_SYSTEM_NAME, "grpc"),
            KeyValue::new(semconv::RPC_METHOD, self.method.full_name()),
            KeyValue::new(semconv::RPC_RESPONSE_STATUS_CODE, code.name()),
        ]);
        let failed = code != Code::Ok;
        attributes.extend(failed.then(|| KeyValue::new(semconv::ERROR_TYPE, code.name())));
        self.add_server(attributes)
    }

    fn add_server(&self, mut attributes: Vec<KeyValue>) -> Vec<KeyValue> {
        if let Some((address, port)) = &self.server {
            let address = StringValue::from(Arc::clone(address));
            attributes.push(KeyValue::new(semconv::SERVER_ADDRESS, address));
            attributes.push(KeyValue::new(semconv::SERVER_PORT, i64::from(*port)));
        }
        attributes
    }
}
