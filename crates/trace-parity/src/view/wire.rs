//! Joins client calls to the calls that a witness saw on the wire.

use std::collections::HashMap;

use crate::contract::Contract;
use crate::traces::Traces;
use crate::wire::{Wire, WireCall};

use super::calls::Call;

/// The witness is on the program's machine; its clock is the same, but a span may be stamped late.
const SLACK_NS: u64 = 5_000_000;

/// Calls that run side by side are few.
const LOOKED_AT: usize = 64;

/// The wire's calls of the judged service, by the client call that made them.
#[derive(Debug, Default)]
pub(crate) struct OnWire<'a> {
    by_call: HashMap<u32, Vec<&'a WireCall>>,
    /// Calls that no span tells of, in order of time.
    pub(crate) unseen: Vec<&'a WireCall>,
    /// The example that each connection belongs to, by its other calls.
    pub(crate) example_of: HashMap<u64, u32>,
}

/// A `traceparent`, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traceparent<'a> {
    pub(crate) version: &'a str,
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) flags: u8,
}

impl<'a> Traceparent<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (trace.len() == 32 && span.len() == 16 && flags.len() == 2).then_some(())?;
        Some(Self {
            version,
            trace_id: u128::from_str_radix(trace, 16).ok()?.to_be_bytes(),
            span_id: u64::from_str_radix(span, 16).ok()?.to_be_bytes(),
            flags: u8::from_str_radix(flags, 16).ok()?,
        })
    }
}

impl<'a> OnWire<'a> {
    /// Each call of the wire goes to the call whose span it names; else to one of its method at that time.
    pub(crate) fn join(
        wire: &'a Wire,
        traces: &Traces,
        contract: &Contract,
        calls: &[Call<'_>],
        call_of: &HashMap<u32, u32>,
    ) -> Self {
        let mut found = Self::default();
        let mut spans: HashMap<[u8; 8], u32> = HashMap::new();
        let own = calls.iter().map(|call| traces.record(call.span).trace);
        let mut own: Vec<u32> = own.collect();
        own.sort_unstable();
        own.dedup();
        for &trace in &own {
            for span in traces.traces[trace as usize].spans() {
                spans.insert(traces.record(span).id, span);
            }
        }
        let judged = wire.calls.iter().filter(|call| {
            call.names()
                .is_some_and(|(service, _)| service == contract.server.rpc_service)
        });
        let mut rest = Vec::new();
        for call in judged {
            let named = call.traceparents().iter().find_map(|text| {
                let sent = Traceparent::parse(text)?;
                let span = *spans.get(&sent.span_id)?;
                let is_same = traces.span(span).trace_id().0 == sent.trace_id;
                let above = std::iter::successors(Some(span), |&span| traces.parent(span));
                let mut above = above.filter(|_| is_same).take(LOOKED_AT);
                above.find_map(|span| call_of.get(&span).copied())
            });
            match named {
                Some(index) => found.claim(index, call, calls),
                None => rest.push(call),
            }
        }
        let mut by_method: HashMap<&str, Vec<u32>> = HashMap::new();
        for (index, call) in (0..).zip(calls).filter(|(_, call)| call.judged) {
            by_method.entry(call.method).or_default().push(index);
        }
        let start = |index: u32| traces.record(calls[index as usize].span).start;
        let end = |index: u32| traces.record(calls[index as usize].span).end;
        for indexes in by_method.values_mut() {
            indexes.sort_by_key(|&index| start(index));
        }
        for call in rest {
            let time = call.headers_unix_nano;
            let (_, method) = call.names().unwrap_or_default();
            let candidates = by_method.get(method).map_or(&[][..], Vec::as_slice);
            let begun = candidates.partition_point(|&index| start(index) <= time + SLACK_NS);
            let around = candidates[..begun].iter().rev().take(LOOKED_AT);
            let around = around.filter(|&&index| time <= end(index) + SLACK_NS);
            // One that wasn't sent yet, else one that may have been sent again.
            let fits = around.min_by_key(|index| found.by_call.contains_key(*index));
            match fits {
                Some(&index) => found.claim(index, call, calls),
                None => found.unseen.push(call),
            }
        }
        found
    }

    fn claim(&mut self, index: u32, call: &'a WireCall, calls: &[Call<'_>]) {
        self.by_call.entry(index).or_default().push(call);
        let example = calls[index as usize].example;
        self.example_of.entry(call.connection).or_insert(example);
    }

    /// How the wire carried one call, in order of time.
    pub(crate) fn of(&self, call: u32) -> &[&'a WireCall] {
        self.by_call.get(&call).map_or(&[], Vec::as_slice)
    }
}
