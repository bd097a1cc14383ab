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
mod problem;
mod zipkin_json;

use builder::Builder;
use compressed::Allowance;
pub use problem::{Problem, ProblemKind};

use crate::traces::Traces;

/// One file, or whatever else telemetry came in.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Names the one example that the input holds (`compare NAME=FILE`).
    pub label: Option<&'a str>,
    pub bytes: &'a [u8],
}

/// Reads every input into one store. What can't be read costs its own record alone and is a problem.
#[must_use]
pub fn read(inputs: &[Input<'_>]) -> (Traces, Vec<Problem>) {
    let mut builder = Builder::default();
    for (number, input) in inputs.iter().enumerate() {
        builder.begin_input(number, input.label);
        let mut allowance = Allowance::of(input.bytes);
        any(input.bytes, &mut allowance, &mut builder);
        while let Some(inner) = builder.take_inner() {
            any(&inner, &mut allowance, &mut builder);
        }
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
