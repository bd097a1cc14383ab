//! Did each example run, and did what it exported arrive?

use crate::draft::Draft;
use crate::facts::Exit;
use crate::rule::Rule;
use crate::traces::Status;
use crate::view::View;
use crate::view::examples::Example;

use super::exports;
use super::words::{counted, spans};

pub(crate) fn example_failed(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let Some(exit) = example
            .facts
            .map(|facts| facts.exit)
            .filter(|exit| !exit.is_success())
        else {
            continue;
        };
        let mut message = match exit {
            Exit::Code(code) => format!("`{}` exited with {code}", example.name),
            Exit::Signal(signal) => format!("`{}` was ended by signal {signal}", example.name),
            Exit::TimedOut => format!("`{}` was ended because its time was up", example.name),
            Exit::NotStarted => format!("`{}` could not be started", example.name),
            // Filtered out above.
            Exit::Stopped => format!("`{}` was asked to end", example.name),
        };
        let mut draft = Draft::new(Rule::ExampleFailed, String::new())
            .example(index)
            .case(case(exit));
        let calls = view.calls_of(example);
        let failed = |span: u32| view.traces.record(span).status == Status::Error;
        if let Some(call) = calls.iter().rev().find(|call| failed(call.span)) {
            message.push_str(&format!("; its call `{}` ended with ERROR", call.method));
            let text = view.traces.span(call.span).status_message();
            if !text.is_empty() {
                message.push_str(&format!(": {text}"));
            }
            draft = draft.span(call.span).step(call.step);
        } else if let Some(last) = calls.last() {
            message.push_str(&format!("; its last call was `{}`", last.method));
            draft = draft.span(last.span).step(last.step);
        }
        draft.message = message;
        drafts.push(draft);
    }
}

fn case(exit: Exit) -> &'static str {
    match exit {
        Exit::Code(_) => "code",
        Exit::Signal(_) => "signal",
        Exit::TimedOut => "timed-out",
        Exit::NotStarted => "not-started",
        Exit::Stopped => "stopped",
    }
}

pub(crate) fn no_spans(view: &View<'_>, drafts: &mut Vec<Draft>) {
    if view.examples.is_empty() {
        drafts.push(nothing_to_judge(view));
    }
    for (index, example) in view
        .examples()
        .filter(|(_, example)| example.traces.is_empty())
    {
        if example
            .facts
            .is_none_or(|facts| facts.exit == Exit::NotStarted)
        {
            continue;
        }
        let mut message = format!(
            "`{}` ran to its end and not one of its spans arrived",
            example.name
        );
        let losses = exports::losses_of(view, index);
        let came = exports::requests_of(view, index).is_some_and(|requests| requests > 0);
        for loss in &losses {
            message.push_str("; ");
            message.push_str(&loss.message);
        }
        if losses.is_empty() {
            match exports::requests_of(view, index) {
                Some(0) => message.push_str(", nor any other request of its exporter's"),
                Some(requests) => message.push_str(&format!(
                    ": {} came from it, without a span in them",
                    counted(requests, "request")
                )),
                None => {}
            }
        }
        let (served, context) = served(view);
        message.push_str(&served);
        let draft = Draft::new(Rule::NoSpans, message)
            .example(index)
            .tell("context", context);
        drafts.push(match (losses.into_iter().next(), stranger(view)) {
            (Some(loss), _) => draft.hint(loss.hint),
            (None, Some(stranger)) => draft.case("stranger").tell("stranger", stranger),
            (None, None) => draft
                .case("silent")
                .tell("requests", if came { "some" } else { "none" }),
        });
    }
}

/// The calls that the server took meanwhile, as a clause, and whether they carried a context. Of several examples nobody can say whose they
/// were.
fn served(view: &View<'_>) -> (String, &'static str) {
    let (calls, said, context) = match (&view.unexported[..], &view.uncalled[..]) {
        _ if view.examples.len() != 1 => return (String::new(), "unknown"),
        ([], []) => return (String::new(), "unknown"),
        ([], bare) => (
            bare,
            "without a trace context: if they are the program's, its client isn't traced",
            "none",
        ),
        (carried, _) => (
            carried,
            "that carried a trace context: if they are the program's, its client is traced, and its export failed",
            "carried",
        ),
    };
    let clause = format!(
        "; meanwhile the server took {} {said}",
        counted(calls.len() as u64, "call")
    );
    (clause, context)
}

fn nothing_to_judge(view: &View<'_>) -> Draft {
    let (message, case) = match view.traces.span_count() {
        0 => ("the input holds no spans".to_owned(), "empty"),
        count => (
            format!(
                "the input holds {} of the server's and none of a client's",
                spans(count)
            ),
            "server-only",
        ),
    };
    Draft::new(Rule::NoSpans, message).case(case)
}

/// A client's trace that belongs to none of the run's examples.
fn stranger(view: &View<'_>) -> Option<String> {
    let nobodys = view
        .traces
        .iter()
        .zip(&view.links.owners)
        .filter(|(_, owner)| owner.is_none());
    nobodys.into_iter().find_map(|(trace, _)| {
        let mut spans = trace.spans();
        let span = spans.find(|span| {
            span.service_name()
                .is_some_and(|name| !view.contract.is_server(name))
        })?;
        Some(format!("a trace of service `{}`", span.service_name()?))
    })
}

pub(crate) fn no_root(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        if example.traces.is_empty() || example.root.is_some() || root_is_orphan(view, index) {
            continue;
        }
        let orphans: Vec<u32> = children_of_root(view, index, example);
        let root = view.contract.root.as_ref();
        let root = root.map_or_else(|| "the root".to_owned(), |root| format!("`{}`", root.name));
        let message = match orphans
            .first()
            .map(|&span| view.traces.span(span).parent_id())
        {
            Some(Some(parent)) => format!(
                "the root span never arrived: {} name `{parent}` as their parent, where {root} should be",
                spans(orphans.len())
            ),
            _ => format!("there is no span without a parent, where {root} should be"),
        };
        let mut draft = Draft::new(Rule::NoRoot, message).example(index).count(1);
        if let Some(&first) = orphans.first() {
            draft = draft.span(first);
        }
        drafts.push(draft.explains(orphans));
    }
}

/// The contract's root is there and names an absent parent, as another finding says.
fn root_is_orphan(view: &View<'_>, example: u32) -> bool {
    let Some(root) = view.contract.root.as_ref().filter(|_| view.scenario) else {
        return false;
    };
    let own = view.links.orphans_of(example).iter();
    let mut orphans = own.flat_map(|group| group.spans.iter());
    orphans.any(|&span| view.traces.span(span).name() == root.name)
}

/// The spans that name an absent parent and were made by the client.
fn children_of_root(view: &View<'_>, index: u32, example: &Example<'_>) -> Vec<u32> {
    let mine = view.links.orphans_of(index).iter();
    let calls = view.calls_of(example);
    let called = |span: u32| view.call_of.contains_key(&span);
    mine.filter(|orphans| orphans.elsewhere.is_none())
        .max_by_key(|orphans| orphans.spans.iter().filter(|&&span| called(span)).count())
        .filter(|orphans| calls.is_empty() || orphans.spans.iter().any(|&span| called(span)))
        .map(|orphans| orphans.spans.clone())
        .unwrap_or_default()
}
