//! Client calls as their spans tell them.

use crate::contract::Contract;
use crate::semconv::RpcName;
use crate::traces::Traces;

use super::examples::Example;
use super::links::{Links, Side};
use super::reader::{Form, Reader};

/// One client RPC span.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) span: u32,
    pub(crate) example: u32,
    /// It calls the contract's service: the others are neither joined nor judged word by word.
    pub(crate) judged: bool,
    pub(crate) form: Form,
    /// From the span's name.
    pub(crate) named: Option<RpcName<'a>>,
    /// From `rpc.method`.
    pub(crate) said: Option<&'a str>,
    pub(crate) said_service: Option<&'a str>,
    /// What it calls, once the server span has had its say.
    pub(crate) method: &'a str,
    /// The server span that answers it: a child, or one below it through other spans.
    pub(crate) server: Option<u32>,
    /// A child on the server's side that answers something else, where none answers this call.
    pub(crate) wrong: Option<u32>,
    /// A server span that answers it and hangs elsewhere in the example's traces, or names it from a trace of nobody's.
    pub(crate) astray: Option<u32>,
    /// A server span that began a trace of its own and fits.
    pub(crate) lost: Option<u32>,
    /// A server span that fits and lies in a foreign trace, under a parent that isn't in the input.
    pub(crate) replaced: Option<u32>,
    /// How often it was sent, by the spans between the call and the server; 0 where nothing says.
    pub(crate) attempts: u32,
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

/// Every client RPC span of every example; gives each example its range.
pub(crate) fn find<'a>(
    traces: &'a Traces,
    contract: &'a Contract,
    reader: &Reader<'a>,
    links: &Links,
    examples: &mut [Example<'_>],
) -> Vec<Call<'a>> {
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
                form: words.form,
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
                replaced: None,
                attempts: 0,
                step: None,
            });
        }
        calls[first..].sort_by_key(|call| (traces.record(call.span).start, call.span));
        example.calls = first..calls.len();
    }
    calls
}

impl Call<'_> {
    /// OpenTelemetry's RPC conventions are what its words are measured by.
    pub(crate) fn has_rpc_words(&self) -> bool {
        self.judged && self.form == Form::Rpc
    }

    /// All server spans that have to do with it.
    pub(crate) fn answers(&self) -> impl Iterator<Item = u32> + use<> {
        [
            self.server,
            self.astray,
            self.lost,
            self.replaced,
            self.wrong,
        ]
        .into_iter()
        .flatten()
    }

    /// Its server span, wherever that is.
    pub(crate) fn answered_by(&self) -> Option<u32> {
        self.server.or(self.astray).or(self.lost).or(self.replaced)
    }
}
