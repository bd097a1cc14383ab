//! One cause, one finding: which rule's finding speaks for which others'.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::draft::Draft;
use crate::rule::Rule::{self, *};
use crate::rule::Severity;
use crate::view::View;

/// How far a cause reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Everything of the same example.
    Example,
    /// The spans that the finding says it explains.
    Spans,
}

/// What an example that ended early leaves out.
const UNFINISHED: &[Rule] = &[
    NoSpans,
    NoRoot,
    OrphanSpan,
    ClientUnseen,
    NoServerSpan,
    MissingStep,
    StatusDiffers,
    UnmarkedError,
    BadTime,
    ServerWorkDiffers,
    MetricMissing,
    MetricDisagrees,
    LogUncorrelated,
];

/// What spans that never arrived leave out.
const ABSENCES: &[Rule] = &[
    NoSpans,
    NoRoot,
    OrphanSpan,
    ClientUnseen,
    NoServerSpan,
    MissingStep,
    ServerWorkDiffers,
    UnmarkedError,
    AttributeMissing,
    SeveralTraces,
    MetricDisagrees,
    LogUncorrelated,
];

/// What metrics and logs say of spans that never arrived.
const OF_SPANS: &[Rule] = &[MetricMissing, MetricDisagrees, LogUncorrelated];

/// What a context that never reached the server right shows as.
const WITHOUT_CONTEXT: &[Rule] = &[
    ContextLost,
    ContextReplaced,
    NoServerSpan,
    ServerWorkDiffers,
];

/// A cause, how far it reaches, and what it silences there.
const PRECEDENCE: &[(Rule, Reach, &[Rule])] = &[
    (ExampleFailed, Reach::Example, UNFINISHED),
    (NoSpans, Reach::Example, Rule::ALL),
    (DroppedSpans, Reach::Example, OF_SPANS),
    (ExportRefused, Reach::Example, OF_SPANS),
    (ContextNotSent, Reach::Spans, WITHOUT_CONTEXT),
    (ContextChanged, Reach::Spans, WITHOUT_CONTEXT),
    (ContextIgnored, Reach::Spans, WITHOUT_CONTEXT),
    (UnseenCall, Reach::Spans, &[UntracedCalls]),
    (
        UnseenCall,
        Reach::Example,
        &[ClientUnseen, MissingStep, UnmarkedError],
    ),
    (ClientUnseen, Reach::Example, &[MissingStep, UnmarkedError]),
    (ContextReplaced, Reach::Spans, &[SeveralTraces]),
    (
        SeveralTraces,
        Reach::Spans,
        &[
            OrphanSpan,
            WrongParent,
            NoRoot,
            NoServerSpan,
            ServerWorkDiffers,
        ],
    ),
    (NoRoot, Reach::Spans, &[OrphanSpan]),
    (
        DuplicateSpanId,
        Reach::Spans,
        &[
            OrphanSpan,
            NoServerSpan,
            WrongParent,
            BadTime,
            ServerWorkDiffers,
            WrongServer,
            ParentCycle,
        ],
    ),
    (
        ParentCycle,
        Reach::Spans,
        &[WrongParent, NoServerSpan, ServerWorkDiffers, BadTime],
    ),
    (
        SeveralRoots,
        Reach::Spans,
        &[NoServerSpan, ServerWorkDiffers],
    ),
    (
        WrongParent,
        Reach::Spans,
        &[
            OrphanSpan,
            NoServerSpan,
            WrongServer,
            ServerWorkDiffers,
            BadTime,
        ],
    ),
    (NoServerSpan, Reach::Spans, &[OrphanSpan, ServerWorkDiffers]),
    (
        OrphanSpan,
        Reach::Spans,
        &[NoServerSpan, MissingStep, ServerWorkDiffers],
    ),
    (
        ContextLost,
        Reach::Spans,
        &[NoServerSpan, ServerWorkDiffers],
    ),
    (
        ContextReplaced,
        Reach::Spans,
        &[NoServerSpan, ServerWorkDiffers],
    ),
    (WrongServer, Reach::Spans, &[ServerWorkDiffers]),
    (
        BadTime,
        Reach::Example,
        &[StepOrder, RepeatedStep, MissingStep],
    ),
];

/// Takes out the findings that another speaks for. A finding that is taken out no longer speaks.
pub(crate) fn apply(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let mut by_rule: BTreeMap<Rule, Vec<usize>> = BTreeMap::new();
    let mut by_example: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut by_span: HashMap<u32, Vec<usize>> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        by_rule.entry(draft.rule).or_default().push(index);
        if let Some(example) = draft.example {
            by_example.entry(example).or_default().push(index);
        }
        if let Some(span) = draft.span {
            by_span.entry(span).or_default().push(index);
        }
    }
    let mut silenced = vec![false; drafts.len()];
    for &(cause, reach, consequences) in PRECEDENCE {
        let mut told: HashSet<u32> = HashSet::new();
        for &speaker in by_rule.get(&cause).into_iter().flatten() {
            if silenced[speaker] || drafts[speaker].severity == Severity::Info {
                continue;
            }
            let mut silence = |place: Option<&Vec<usize>>| {
                for &index in place.into_iter().flatten() {
                    let rule = drafts[index].rule;
                    silenced[index] |= rule != cause && consequences.contains(&rule);
                }
            };
            match reach {
                Reach::Example => {
                    let example = drafts[speaker]
                        .example
                        .filter(|&example| told.insert(example));
                    silence(example.and_then(|example| by_example.get(&example)));
                }
                Reach::Spans => {
                    for span in &drafts[speaker].explains {
                        silence(by_span.get(span));
                    }
                }
            }
        }
    }
    let mut index = 0;
    drafts.retain(|_| {
        index += 1;
        !silenced[index - 1]
    });
    explain_by_lost_input(view, drafts);
}

/// Records that could not be read explain what is absent; then they are no mere warning.
fn explain_by_lost_input(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let lost = |draft: &Draft| draft.rule == MalformedInput && draft.subject.is_none();
    if !drafts.iter().any(lost) {
        return;
    }
    if view.traces.spans.is_empty() {
        drafts.retain(|draft| draft.rule == MalformedInput);
        drafts
            .iter_mut()
            .for_each(|draft| draft.severity = Severity::Error);
        return;
    }
    let absent: Vec<Draft> = drafts
        .extract_if(.., |draft| {
            ABSENCES.contains(&draft.rule) && draft.severity == Severity::Error
        })
        .collect();
    if absent.is_empty() {
        return;
    }
    let mut places: Vec<String> = Vec::new();
    for draft in &absent {
        let example = draft.example.map_or("the input", |example| {
            view.examples[example as usize].name.as_str()
        });
        let place = match view.step_name(draft.step) {
            Some(step) => format!("{example}: `{}` at `{step}`", draft.rule),
            None => format!("{example}: `{}`", draft.rule),
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let first = absent[0].example;
    let same = absent.iter().all(|draft| draft.example == first);
    for draft in drafts.iter_mut().filter(|draft| lost(draft)) {
        draft.severity = Severity::Error;
        draft.example = first.filter(|_| same);
        draft.message.push_str("; what is gone leaves gaps (");
        draft.message.push_str(&places.join(", "));
        draft.message.push(')');
    }
}
