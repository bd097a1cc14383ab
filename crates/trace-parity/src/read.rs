//! Bytes in; traces and problems out. The format is found from the content.

mod base64;
mod builder;
mod fields;
mod lines;
mod otlp_json;

pub(crate) use builder::Builder;

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
    /// Nothing is gone; a field that OTLP doesn't have.
    UnknownField,
}

/// Reads every input into one store. What can't be read costs its own record alone and is a problem.
#[must_use]
pub fn read(inputs: &[Input<'_>]) -> (Traces, Vec<Problem>) {
    let mut builder = Builder::default();
    for input in inputs {
        builder.begin_input(input.label);
        lines::read(input.bytes, &mut builder);
    }
    builder.finish()
}
