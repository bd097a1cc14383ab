//! Client calls as their spans tell them.

use crate::contract::Contract;
use crate::intern::Str;
use crate::semconv::{self, RPC, RpcName};
use crate::traces::{Attribute, Traces};

use super::examples::Example;
use super::links::{Links, Side};

/// One client RPC span.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) span: u32,
    pub(crate) example: u32,
    /// It calls the contract's service: the others are neither joined nor judged word by word.
    pub(crate) judged: bool,
    /// From the span's name.
    pub(crate) named: Option<RpcName<'a>>,
    /// From `rpc.method`.
    pub(crate) said: Option<&'a str>,
    pub(crate) said_service: Option<&'a str>,
    /// What it calls, once the server span has had its say.
    pub(crate) method: &'a str,
    /// The child that answers it.
    pub(crate) server: Option<u32>,
    /// A child on the server's side that answers something else, where none answers this call.
    pub(crate) wrong: Option<u32>,
    /// A server span that answers it and hangs elsewhere in the example's traces, or names it from a trace of nobody's.
    pub(crate) astray: Option<u32>,
    /// A server span that began a trace of its own and fits.
    pub(crate) lost: Option<u32>,
    pub(crate) step: Option<u16>,
}

/// A server span of a call whose client span isn't there.
#[derive(Debug)]
pub(crate) struct Ghost<'a> {
    pub(crate) span: u32,
    pub(crate) example: u32,
    pub(crate) method: &'a str,
    pub(crate) step: Option<u16>,
}

/// What a call's span says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Words<'a> {
    pub(crate) named: Option<RpcName<'a>>,
    pub(crate) said: Option<&'a str>,
    pub(crate) said_service: Option<&'a str>,
    pub(crate) has_system: bool,
}

/// Reads calls off spans; knows the handles of the attributes it looks for.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    traces: &'a Traces,
    service: &'a str,
    system: Vec<Str>,
    said_service: Vec<Str>,
    said: Vec<Str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(traces: &'a Traces, contract: &'a Contract) -> Self {
        let known = |concept: usize| {
            let names = RPC[concept].names.iter();
            names
                .filter_map(|(_, name)| traces.strings.find(name))
                .collect()
        };
        Reader {
            traces,
            service: &contract.server.rpc_service,
            system: known(semconv::SYSTEM),
            said_service: known(semconv::SERVICE),
            said: known(semconv::METHOD),
        }
    }

    pub(crate) fn words(&self, span: u32) -> Words<'a> {
        let record = self.traces.record(span);
        let mut words = Words {
            named: semconv::rpc_name(self.traces.str(record.name), self.service),
            ..Words::default()
        };
        let text = |attribute: &Attribute| self.traces.value(*attribute).as_str();
        for attribute in &self.traces.attributes[record.attributes.range()] {
            if self.system.contains(&attribute.key) {
                words.has_system = true;
            } else if self.said_service.contains(&attribute.key) {
                words.said_service = text(attribute);
            } else if self.said.contains(&attribute.key) {
                let (service, method) = text(attribute).map_or((None, None), |text| {
                    let (service, method) = semconv::qualified(text);
                    (service, Some(method))
                });
                words.said = method;
                words.said_service = words.said_service.or(service);
            }
        }
        words
    }
}

impl<'a> Words<'a> {
    pub(crate) fn is_rpc(&self) -> bool {
        self.has_system || self.named.is_some()
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

/// Every client RPC span of every example; gives each example its range.
pub(crate) fn find<'a>(
    traces: &'a Traces,
    contract: &'a Contract,
    links: &Links,
    examples: &mut [Example<'_>],
) -> Vec<Call<'a>> {
    let reader = Reader::new(traces, contract);
    let mut calls: Vec<Call<'a>> = Vec::new();
    for (number, example) in (0..).zip(examples) {
        let first = calls.len();
        let spans = example
            .traces
            .iter()
            .flat_map(|&trace| traces.traces[trace as usize].spans());
        for span in spans.filter(|&span| links.side(span) == Side::Client) {
            let words = reader.words(span);
            if !words.is_rpc() {
                continue;
            }
            calls.push(Call {
                span,
                example: number,
                judged: words.calls(&contract.server.rpc_service),
                named: words.named,
                said: words.said,
                said_service: words.said_service,
                method: words
                    .said
                    .or(words.named.map(|named| named.method))
                    .unwrap_or_default(),
                server: None,
                wrong: None,
                astray: None,
                lost: None,
                step: None,
            });
        }
        calls[first..].sort_by_key(|call| (traces.record(call.span).start, call.span));
        example.calls = first..calls.len();
    }
    calls
}

impl Call<'_> {
    /// All server spans that have to do with it.
    pub(crate) fn answers(&self) -> impl Iterator<Item = u32> + use<> {
        [self.server, self.astray, self.lost, self.wrong]
            .into_iter()
            .flatten()
    }

    /// Its server span, wherever that is.
    pub(crate) fn answered_by(&self) -> Option<u32> {
        self.server.or(self.astray).or(self.lost)
    }
}
