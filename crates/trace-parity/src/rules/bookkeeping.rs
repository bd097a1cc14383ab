//! Could the input be read?

use crate::draft::Draft;
use crate::read::ProblemKind;
use crate::rule::Rule;
use crate::view::View;

pub(crate) fn malformed_input(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for problem in view.problems {
        let (subject, case) = match problem.kind {
            ProblemKind::LostRecord if view.traces.spans.is_empty() => (None, "nothing-read"),
            ProblemKind::LostRecord => (None, "lost-record"),
            ProblemKind::LostSpan => (None, "lost-span"),
            ProblemKind::LostValue => (None, "lost-value"),
            ProblemKind::OtherText => (None, "other-text"),
            ProblemKind::UnknownField => (Some(problem.message.clone()), "unknown-field"),
        };
        let mut draft = Draft::new(Rule::MalformedInput, problem.message.clone()).case(case);
        draft.subject = subject;
        draft.count = problem.count;
        draft.input_line = problem.line;
        drafts.push(draft);
    }
}
