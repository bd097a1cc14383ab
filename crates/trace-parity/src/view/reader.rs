//! Calls read off spans: by name, by attributes, by whichever conventions the span follows.

use crate::contract::Contract;
use crate::intern::Str;
use crate::semconv::{self, GrpcStatus, RPC, RpcName};
use crate::traces::{Attribute, Status, Traces};

/// The conventions by which a span says that it is a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// OpenTelemetry's RPC conventions, or at least their span name.
    #[default]
    Rpc,
    /// gRPC's own tracing (proposal A72): `Sent.package.Service.Method`, with an `Attempt.…` below it for each try.
    GrpcTracing,
    /// An HTTP client's span whose path is `/package.Service/Method`.
    Http,
}

/// A call's span, read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Words<'a> {
    pub(crate) form: Form,
    pub(crate) named: Option<RpcName<'a>>,
    pub(crate) said: Option<&'a str>,
    pub(crate) said_service: Option<&'a str>,
    pub(crate) has_system: bool,
}

/// Reads calls off spans; knows the handles of the attributes that it looks for.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    traces: &'a Traces,
    service: &'a str,
    system: Vec<Str>,
    said_service: Vec<Str>,
    said: Vec<Str>,
    path: Vec<Str>,
    status: Vec<Str>,
}

/// Attributes that hold an HTTP request's path or URL.
const PATHS: [&str; 4] = ["url.path", "url.full", "http.target", "http.url"];

/// Micrometer's word for the outcome of a gRPC call.
const MICROMETER_STATUS: &str = "grpc.status_code";

impl<'a> Reader<'a> {
    pub(crate) fn new(traces: &'a Traces, contract: &'a Contract) -> Self {
        let handles = |names: &mut dyn Iterator<Item = &'static str>| {
            names
                .filter_map(|name| traces.strings.find(name))
                .collect::<Vec<Str>>()
        };
        let known = |concept: usize| handles(&mut RPC[concept].names.iter().map(|(_, name)| *name));
        Reader {
            traces,
            service: &contract.server.rpc_service,
            system: known(semconv::SYSTEM),
            said_service: known(semconv::SERVICE),
            said: known(semconv::METHOD),
            path: handles(&mut PATHS.into_iter()),
            status: handles(
                &mut RPC[semconv::STATUS]
                    .names
                    .iter()
                    .map(|(_, name)| *name)
                    .chain([MICROMETER_STATUS]),
            ),
        }
    }

    pub(crate) fn words(&self, span: u32) -> Words<'a> {
        let record = self.traces.record(span);
        let name = self.traces.str(record.name);
        let mut words = Words {
            named: semconv::rpc_name(name, self.service),
            ..Words::default()
        };
        let mut path = None;
        for attribute in &self.traces.attributes[record.attributes.range()] {
            if self.system.contains(&attribute.key) {
                words.has_system = true;
            } else if self.said_service.contains(&attribute.key) {
                words.said_service = self.text(*attribute);
            } else if self.said.contains(&attribute.key) {
                let (service, method) = self.text(*attribute).map_or((None, None), |text| {
                    let (service, method) = semconv::qualified(text);
                    (service, Some(method))
                });
                words.said = method;
                words.said_service = words.said_service.or(service);
            } else if self.path.contains(&attribute.key) {
                path = path.or(self.text(*attribute));
            }
        }
        if words.named.is_none() && !words.has_system {
            self.other_forms(name, path, &mut words);
        }
        words
    }

    fn other_forms(&self, name: &'a str, path: Option<&'a str>, words: &mut Words<'a>) {
        if let Some(named) = semconv::grpc_tracing_name(name) {
            words.named = Some(named);
            words.form = Form::GrpcTracing;
            return;
        }
        let of_service = |named: &RpcName<'_>| named.service == self.service;
        let path = path.map(|path| path.split('?').next().unwrap_or(path));
        let called = path.and_then(|path| semconv::rpc_name(path, self.service));
        if let Some(called) = called.filter(of_service) {
            words.said = words.said.or(Some(called.method));
            words.said_service = words.said_service.or(Some(called.service));
            words.form = Form::Http;
        }
    }

    /// The gRPC status that a span gives, by any of the attribute's names, else at the beginning of its status message.
    pub(crate) fn grpc_status(&self, span: u32) -> Option<GrpcStatus> {
        let record = self.traces.record(span);
        let attributes = self.traces.attributes[record.attributes.range()].iter();
        let said = attributes
            .filter(|attribute| self.status.contains(&attribute.key))
            .find_map(|attribute| GrpcStatus::from_value(self.traces.value(*attribute)));
        said.or_else(|| {
            let message = self.traces.str(record.status_message);
            (record.status == Status::Error)
                .then(|| GrpcStatus::from_message(message))
                .flatten()
        })
    }

    /// A call without a server span that its own status explains: the status, or `None` within where the span is an error without one.
    pub(crate) fn explains_absence(&self, span: u32) -> Option<Option<GrpcStatus>> {
        match self.grpc_status(span) {
            Some(status) => status.is_made_by_grpc().then_some(Some(status)),
            None => (self.traces.record(span).status == Status::Error).then_some(None),
        }
    }

    /// The path or URL that an HTTP span asks for.
    pub(crate) fn path(&self, span: u32) -> Option<&'a str> {
        let slice = self.traces.record(span).attributes;
        let mut attributes = self.traces.attributes[slice.range()].iter();
        let found = attributes.find(|attribute| self.path.contains(&attribute.key))?;
        self.text(*found)
    }

    fn text(&self, attribute: Attribute) -> Option<&'a str> {
        self.traces.value(attribute).as_str()
    }
}

impl<'a> Words<'a> {
    pub(crate) fn is_rpc(&self) -> bool {
        self.has_system || self.named.is_some() || self.form != Form::Rpc
    }

    /// It calls `service` by its name or by its attributes.
    pub(crate) fn calls(&self, service: &str) -> bool {
        self.named.is_some_and(|named| named.service == service)
            || self.said_service == Some(service)
    }

    /// The method by the name, else by the attribute.
    pub(crate) fn method(&self) -> Option<&'a str> {
        self.named.map(|named| named.method).or(self.said)
    }
}
