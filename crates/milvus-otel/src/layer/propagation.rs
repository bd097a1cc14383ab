//! Sending a call's context in its headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags};
use opentelemetry::{Context, global};
use std::fmt::Write;
use std::sync::Arc;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The propagator of a call's context.
#[derive(Clone, Debug)]
pub(super) enum Propagation {
    /// The global propagator; W3C trace context and baggage as long as none is set.
    Global,
    Custom(Arc<dyn TextMapPropagator + Send + Sync>),
}

impl Propagation {
    pub(super) fn inject(&self, context: &Context, headers: &mut HeaderMap, level_1_flags: bool) {
        let mut carrier = Headers {
            headers,
            level_1_flags,
        };
        match self {
            Self::Custom(propagator) => propagator.inject_context(context, &mut carrier),
            Self::Global => global::get_text_map_propagator(|propagator| {
                // The propagator that stands in until one is set has no fields.
                if propagator.fields().next().is_some() {
                    propagator.inject_context(context, &mut carrier);
                } else {
                    carrier.inject_w3c(context);
                }
            }),
        }
    }
}

struct Headers<'a> {
    headers: &'a mut HeaderMap,
    level_1_flags: bool,
}

impl Headers<'_> {
    fn inject_w3c(&mut self, context: &Context) {
        let span = context.span();
        let span_context = span.span_context();
        if span_context.is_valid() {
            let flags = self.flags(span_context.trace_flags());
            self.insert(
                TRACEPARENT.clone(),
                HeaderValue::from_bytes(&traceparent(span_context, flags)),
            );
            // A state is at most a few short entries, and nearly always empty.
            let state = span_context.trace_state().header();
            if !state.is_empty() {
                self.insert(TRACESTATE.clone(), HeaderValue::try_from(state));
            }
        }
        if !context.baggage().is_empty() {
            self.insert(BAGGAGE.clone(), HeaderValue::try_from(baggage(context)));
        }
    }

    fn flags(&self, flags: TraceFlags) -> TraceFlags {
        if self.level_1_flags {
            flags & TraceFlags::SAMPLED
        } else {
            flags
        }
    }

    /// Skips a value that isn't a valid header: OpenTelemetry asks propagators not to fail.
    fn insert<E>(&mut self, name: HeaderName, value: Result<HeaderValue, E>) {
        if let Ok(value) = value {
            self.headers.insert(name, value);
        }
    }
}

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, mut value: String) {
        if value.is_empty() {
            return;
        }
        if self.level_1_flags
            && key == TRACEPARENT
            && let Some((start, flags)) = value.rsplit_once('-')
            && let Ok(flags) = u8::from_str_radix(flags, 16)
        {
            value = format!("{start}-{:02x}", self.flags(TraceFlags::new(flags)));
        }
        let known = [&TRACEPARENT, &TRACESTATE, &BAGGAGE]
            .into_iter()
            .find(|name| name.as_str() == key);
        if let Some(name) = known.cloned().or_else(|| HeaderName::try_from(key).ok()) {
            self.insert(name, HeaderValue::try_from(value));
        }
    }
}

fn traceparent(span: &SpanContext, flags: TraceFlags) -> [u8; 55] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&mut text[3..35], &span.trace_id().to_bytes());
    write_hex(&mut text[36..52], &span.span_id().to_bytes());
    write_hex(&mut text[53..], &[flags.to_u8()]);
    text
}

fn write_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn baggage(context: &Context) -> String {
    let mut text = String::new();
    for (key, (value, metadata)) in context.baggage() {
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{key}=");
        percent_encode(&mut text, value.as_str());
        if !metadata.as_str().is_empty() {
            let _ = write!(text, ";{}", metadata.as_str());
        }
    }
    text
}

/// Escapes the characters that a value of W3C baggage can't contain.
fn percent_encode(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && !b"\",;\\%".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}
