//! Client calls as their spans tell them.

use crate::contract::Contract;
use crate::semconv::RpcName;
use crate::traces::Traces;

use super::examples::Example;
use super::links::{Links, Side};
use super::reader::{Form, Reader};

/// The server span that has to do with a call, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    None,
    /// It answers the call: a child, or one below it through other spans.
    Joined(u32),
    /// It answers the call and hangs elsewhere in the example's traces, or names it from a trace of nobody's.
    Astray(u32),
    /// It began a trace of its own and fits.
    Lost(u32),
    /// It fits and lies in a foreign trace, under a parent that isn't in the input.
    Replaced(u32),
    /// A child on the server's side that answers something else, where none answers this call.
    Wrong(u32),
}

impl Answer {
    pub(crate) fn span(self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Joined(span)
            | Self::Astray(span)
            | Self::Lost(span)
            | Self::Replaced(span)
            | Self::Wrong(span) => Some(span),
        }
    }

    /// Nothing answers the call yet.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::None | Self::Wrong(_))
    }
}

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
    pub(crate) answer: Answer,
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
                answer: Answer::None,
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

    /// The server span that it is joined to.
    pub(crate) fn server(&self) -> Option<u32> {
        match self.answer {
            Answer::Joined(server) => Some(server),
            _ => None,
        }
    }

    /// A server span that answers it from elsewhere in the example's traces.
    pub(crate) fn astray(&self) -> Option<u32> {
        match self.answer {
            Answer::Astray(server) => Some(server),
            _ => None,
        }
    }

    /// A server span without a parent that fits.
    pub(crate) fn lost(&self) -> Option<u32> {
        match self.answer {
            Answer::Lost(server) => Some(server),
            _ => None,
        }
    }

    /// A server span of a foreign trace that fits.
    pub(crate) fn replaced(&self) -> Option<u32> {
        match self.answer {
            Answer::Replaced(server) => Some(server),
            _ => None,
        }
    }

    /// Its server span, wherever that is.
    pub(crate) fn answered_by(&self) -> Option<u32> {
        self.answer.span().filter(|_| !self.answer.is_open())
    }
}
