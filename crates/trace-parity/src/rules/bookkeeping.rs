//! Could the input be read?

use crate::draft::Draft;
use crate::read::{Problem, ProblemKind};
use crate::rule::Rule;
use crate::view::View;

pub(crate) fn malformed_input(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let nothing_read = view.traces.spans.is_empty();
    let is_lost = |problem: &&Problem| problem.kind != ProblemKind::UnknownField;
    let lost_all = nothing_read && view.problems.iter().any(|problem| is_lost(&problem));
    // Where nothing was read, a field more or less is no matter.
    let told = view
        .problems
        .iter()
        .filter(|problem| !lost_all || is_lost(problem));
    for problem in told {
        let (subject, case) = match problem.kind {
            ProblemKind::LostRecord | ProblemKind::LostSpan if nothing_read => {
                (None, "nothing-read")
            }
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

/// Lines of metrics and logs; no span is missing for them.
pub(crate) fn malformed_signals(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let problems = view
        .signals
        .iter()
        .flat_map(|signals| &signals.all.problems);
    for problem in problems {
        let message = format!("{}: {}", problem.file, problem.message);
        let mut draft = Draft::new(Rule::MalformedInput, message)
            .subject(problem.file.as_str())
            .case("lost-line");
        draft.count = problem.count;
        draft.input_line = Some(problem.line);
        drafts.push(draft);
    }
}
