//! Bytes in; traces and problems out. The format is found from the content.

mod builder;
mod bytes;
mod compressed;
mod document;
mod fields;
mod foreign;
mod jaeger_json;
mod lines;
mod otlp_json;
mod otlp_proto;
mod zipkin_json;

pub(crate) use builder::Builder;
use compressed::Allowance;

use crate::traces::Traces;

/// One file, or whatever else telemetry came in.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Names the one example that the input holds (`compare NAME=FILE`).
    pub label: Option<&'a str>,
    pub bytes: &'a [u8],
}

/// Something in the input that could not be read, or that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which input, from 0.
    pub input: usize,
    /// 1-based; `None` in a format without lines.
    pub line: Option<u64>,
    pub kind: ProblemKind,
    /// What is wrong, in a lower-case fragment.
    pub message: String,
    /// How often this came up; `line` is the first.
    pub count: u64,
}

/// What a [`Problem`] costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// Spans may be gone: nobody can tell how many.
    LostRecord,
    /// One span is gone.
    LostSpan,
    /// One value of a span is gone: an attribute, an event or a link.
    LostValue,
    /// Nothing is gone; a field that OTLP doesn't have.
    UnknownField,
    /// Nothing is gone; text between the records, such as a program's log.
    OtherText,
}

/// Reads every input into one store. What can't be read costs its own record alone and is a problem.
#[must_use]
pub fn read(inputs: &[Input<'_>]) -> (Traces, Vec<Problem>) {
    let mut builder = Builder::default();
    for (number, input) in inputs.iter().enumerate() {
        builder.begin_input(number, input.label);
        any(input.bytes, &mut Allowance::of(input.bytes), &mut builder);
        builder.end_input();
    }
    builder.finish()
}

/// Reads bytes of any format, compressed or not.
fn any(bytes: &[u8], allowance: &mut Allowance, builder: &mut Builder) {
    let (bytes, problem) = compressed::open(bytes, allowance);
    match foreign::name(&bytes) {
        Some(name) => builder.problem(ProblemKind::LostRecord, name),
        None => by_content(&bytes, allowance, builder),
    }
    if let Some(problem) = problem {
        builder.set_line(None);
        builder.problem(ProblemKind::LostRecord, problem);
    }
}

/// A byte order mark, which some editors write before JSON.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// How deeply arrays and maps may nest in an attribute's value, in every format. Protobuf's own libraries stop at about the same depth:
/// 100 messages, of which each level takes three.
const DEEPEST: usize = 32;

fn too_deep(builder: &mut Builder) {
    let message = format!("a value is nested deeper than {DEEPEST} levels");
    builder.problem(ProblemKind::LostValue, message);
}

fn by_content(bytes: &[u8], allowance: &mut Allowance, builder: &mut Builder) {
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    if matches!(
        text.trim_ascii_start().first(),
        None | Some(&(b'{' | b'[' | lines::RECORD_SEPARATOR))
    ) {
        lines::read(text, builder);
    } else if otlp_proto::is_framed(bytes) {
        otlp_proto::framed(bytes, allowance, builder);
    } else if bytes.first() == Some(&REQUEST) {
        otlp_proto::message(bytes, builder);
    } else {
        lines::read(text, builder);
    }
}

/// The first byte of an OTLP protobuf request: field 1, of bytes.
const REQUEST: u8 = 0x0a;
