//! What the capture did with the exports: refused them, told them to come again, or wasn't there.

use crate::draft::Draft;
use crate::facts::{Delivery, RunFacts, SenderFacts};
use crate::rule::{Rule, Severity};

use crate::view::View;

use super::words::counted;

/// What became of a sender's requests that can't be found in the input.
pub(crate) struct Loss {
    rule: Rule,
    pub(crate) message: String,
    pub(crate) hint: String,
    requests: u64,
}

pub(crate) fn refused(view: &View<'_>, drafts: &mut Vec<Draft>) {
    report(view, drafts, Rule::ExportRefused);
}

pub(crate) fn dropped(view: &View<'_>, drafts: &mut Vec<Draft>) {
    report(view, drafts, Rule::DroppedSpans);
    for (sender, example) in senders(view) {
        let Some(delivery) = delivery(view).filter(|_| sender.unforwarded_records > 0) else {
            continue;
        };
        let reason = delivery
            .forward_error
            .as_deref()
            .unwrap_or("it took too long");
        let message = format!(
            "{} of {} could not be sent on, and {} in the capture's files: {reason}",
            counted(sender.unforwarded_records, "record"),
            sender.name,
            if sender.unforwarded_records == 1 {
                "is"
            } else {
                "are"
            },
        );
        let draft = Draft::new(Rule::DroppedSpans, message).severity(Severity::Info);
        drafts.push(at(draft, example));
    }
}

pub(crate) fn retried(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (sender, example) in senders(view) {
        let came = sender.asked_again - sender.missing;
        if came > 0 {
            let message = format!(
                "{} of {} {} told to come again, and came",
                counted(came, "request"),
                sender.name,
                were(came)
            );
            drafts.push(at(Draft::new(Rule::ExportRetried, message), example));
        }
    }
    let closed = delivery(view).map_or(0, |delivery| delivery.refused_connections);
    if closed > 0 {
        let message = format!(
            "{} to the capture {} closed at once, because too many were open",
            counted(closed, "connection"),
            were(closed)
        );
        drafts.push(Draft::new(Rule::ExportRetried, message));
    }
}

pub(crate) fn unknown(view: &View<'_>, drafts: &mut Vec<Draft>) {
    if view.facts.is_some_and(|facts| facts.delivery.is_none()) {
        let message = "the spans took a way without a capture: whether any were refused or lost on it is unknown";
        drafts.push(Draft::new(Rule::DeliveryUnknown, message.to_owned()));
    }
}

/// The store that the capture sent on to has something else than the capture.
pub(crate) fn read_back(view: &View<'_>, drafts: &mut Vec<Draft>) {
    if let Some(difference) = view.facts.and_then(|facts| facts.read_back.as_ref()) {
        let message = format!(
            "the traces that were read back from the store don't come to the same verdict as the capture: {difference}"
        );
        drafts.push(Draft::new(Rule::ReadBackDiffers, message));
    }
}

/// Tells of findings about something that is missing that it may only be late, where the wait for the last spans ended at its limit.
pub(crate) fn quote_unsettled(view: &View<'_>, drafts: &mut [Draft]) {
    const ABOUT_MISSING: [Rule; 8] = [
        Rule::NoSpans,
        Rule::NoRoot,
        Rule::OrphanSpan,
        Rule::ClientUnseen,
        Rule::NoServerSpan,
        Rule::ContextLost,
        Rule::MissingStep,
        Rule::ServerWorkDiffers,
    ];
    if view.facts.is_none_or(|facts| !facts.unsettled) {
        return;
    }
    for draft in drafts {
        if ABOUT_MISSING.contains(&draft.rule) {
            draft.message.push_str(
                "; the wait for the last spans ended at its limit, so they may only be late",
            );
        }
    }
}

/// What was refused or lost of what an example sent, or may have sent: who sent it is not always known.
pub(crate) fn losses_of(view: &View<'_>, example: u32) -> Vec<Loss> {
    let of_example =
        senders(view).filter(|(sender, of)| *of == Some(example) || sender.is_anonymous());
    let mut losses: Vec<Loss> = of_example
        .flat_map(|(sender, _)| losses(view, sender))
        .collect();
    losses.sort_by_key(|loss| loss.rule);
    losses
}

/// How many requests of an example's the capture knows of; `None` where it can't know.
pub(crate) fn requests_of(view: &View<'_>, example: u32) -> Option<u64> {
    delivery(view)?;
    let of_example = senders(view).filter(|(_, of)| *of == Some(example));
    Some(of_example.map(|(sender, _)| sender.requests).sum())
}

fn report(view: &View<'_>, drafts: &mut Vec<Draft>, rule: Rule) {
    let is_quoted = view
        .examples()
        .any(|(_, example)| example.facts.is_some() && example.traces.is_empty());
    for (sender, example) in senders(view) {
        // `no-spans` quotes what may be an example's.
        if is_quoted && sender.is_anonymous() {
            continue;
        }
        for loss in losses(view, sender) {
            if loss.rule == rule {
                let draft = Draft::new(rule, loss.message)
                    .hint(loss.hint)
                    .count(usize::try_from(loss.requests).unwrap_or(usize::MAX));
                drafts.push(at(draft, example));
            }
        }
    }
}

fn losses(view: &View<'_>, sender: &SenderFacts) -> Vec<Loss> {
    let mut losses: Vec<Loss> = sender
        .refused
        .iter()
        .map(|refused| {
            let by = refused.user_agent.as_ref();
            let by = by.map_or_else(String::new, |by| format!(" (sent by `{by}`)"));
            Loss {
                rule: Rule::ExportRefused,
                message: format!(
                    "{} of {} {} refused for good{by}: {}",
                    counted(refused.requests, "request"),
                    sender.name,
                    were(refused.requests),
                    refused.reason
                ),
                hint: refused.advice.clone(),
                requests: refused.requests,
            }
        })
        .collect();
    if sender.missing > 0 {
        let error = delivery(view).and_then(|delivery| delivery.file_error.as_deref());
        let reason = error.filter(|_| sender.unwritten_records > 0);
        losses.push(Loss {
            rule: Rule::DroppedSpans,
            message: format!(
                "{} of {} {} told to come again and did not: {}",
                counted(sender.missing, "request"),
                sender.name,
                were(sender.missing),
                reason.unwrap_or("the capture's queue was full")
            ),
            hint: "run again on a quieter machine, or with fewer examples at a time (`--jobs 1`); a program must live until its \
                   exporter has tried again"
                .to_owned(),
            requests: sender.missing,
        });
    }
    losses
}

/// Everyone whose requests may be this run's, and the example that it is.
fn senders<'v>(
    view: &'v View<'_>,
) -> impl Iterator<Item = (&'v SenderFacts, Option<u32>)> + use<'v> {
    let facts = view.facts;
    let senders = facts.and_then(|facts| facts.delivery.as_ref());
    let senders = senders.into_iter().flat_map(|delivery| &delivery.senders);
    let run = facts.and_then(|facts| facts.run.as_ref());
    senders
        .filter(move |sender| sender.run.is_none() || sender.run.as_ref() == run)
        .map(move |sender| {
            (
                sender,
                facts.and_then(|facts| example_of(view, facts, sender)),
            )
        })
}

fn example_of(view: &View<'_>, facts: &RunFacts, sender: &SenderFacts) -> Option<u32> {
    if facts.run.is_none() || sender.run != facts.run {
        return None;
    }
    let named = view
        .examples()
        .find(|(_, example)| sender.instance.as_ref() == Some(&example.name));
    let only = (facts.examples.len() == 1).then_some(0);
    named.map(|(index, _)| index).or(only)
}

fn delivery<'v>(view: &'v View<'_>) -> Option<&'v Delivery> {
    view.facts?.delivery.as_ref()
}

fn at(draft: Draft, example: Option<u32>) -> Draft {
    match example {
        Some(example) => draft.example(example),
        None => draft,
    }
}

fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}
