//! Could the input be read?

use crate::draft::Draft;
use crate::read::ProblemKind;
use crate::rule::Rule;
use crate::view::View;

pub(crate) fn malformed_input(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for problem in view.problems {
        let (subject, hint) = match problem.kind {
            ProblemKind::LostRecord if view.traces.spans.is_empty() => (
                None,
                "no span could be read; the formats are listed in crates/trace-parity/README.md",
            ),
            ProblemKind::LostRecord => (
                None,
                "the rest was read; capture again, or see how the file was cut: a writer that was killed leaves a last line that breaks \
                 off",
            ),
            ProblemKind::LostSpan => (None, "the other spans were read; see what wrote it"),
            ProblemKind::LostValue => (None, "its span was read without it; see what wrote it"),
            ProblemKind::OtherText => (None, "the records around it were read"),
            ProblemKind::UnknownField => (
                Some(problem.message.clone()),
                "its spans were read without it; a newer OTLP than this reader, or not OTLP",
            ),
        };
        let mut draft = Draft::new(Rule::MalformedInput, problem.message.clone()).hint(hint);
        draft.subject = subject;
        draft.count = problem.count;
        draft.input_line = problem.line;
        drafts.push(draft);
    }
}
