//! What could not be read.

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
