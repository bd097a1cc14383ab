//! Did the example do what the scenario says, in its order?

use crate::draft::Draft;
use crate::rule::Rule;
use crate::traces::Status;
use crate::view::View;
use crate::view::examples::Example;

pub(crate) fn missing_step(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view
        .examples()
        .filter(|(_, example)| !example.traces.is_empty())
    {
        let alignment = &view.alignments[index as usize];
        for (step, declared) in (0..).zip(&view.contract.steps) {
            let at = usize::from(step);
            if declared.optional || alignment.reached[at] {
                continue;
            }
            let before = alignment.order.iter().rev().find(|&&done| done < step);
            let place = match before {
                Some(&before) => {
                    format!(" after `{}`", view.contract.steps[usize::from(before)].name)
                }
                None => String::new(),
            };
            let untraced = untraced(view, example, &declared.rpcs);
            let message = if untraced > 0 {
                format!(
                    "`{}` has no traced call of {}{place}, and {untraced} without a context reached the server while it ran",
                    example.name,
                    either(&declared.rpcs)
                )
            } else {
                format!(
                    "`{}` made no call of {}{place}",
                    example.name,
                    either(&declared.rpcs)
                )
            };
            let mut draft = Draft::new(Rule::MissingStep, message)
                .example(index)
                .step(Some(step))
                .subject(declared.name.clone());
            draft.span = alignment.ghostly[at];
            drafts.push(draft);
        }
    }
}

/// Calls of `methods` that came to the server without a context in the example's time.
fn untraced(view: &View<'_>, example: &Example<'_>, methods: &[String]) -> usize {
    let Some(root) = example.root.map(|root| view.traces.record(root)) else {
        return 0;
    };
    let in_time = view
        .uncalled
        .iter()
        .filter(|call| (root.start..=root.end).contains(&call.start));
    in_time
        .filter(|call| methods.iter().any(|method| method == call.method))
        .count()
}

/// `A`, `A` or `B`.
fn either(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" or ")
}

pub(crate) fn step_order(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, alignment) in (0..).zip(&view.alignments) {
        let name = |step: u16| view.contract.steps[usize::from(step)].name.as_str();
        let order: Vec<&str> = alignment.order.iter().map(|&step| name(step)).collect();
        for &(step, span) in &alignment.displaced {
            let after = alignment
                .order
                .iter()
                .take_while(|&&done| done != step)
                .filter(|&&done| done > step)
                .last();
            let relation = match after {
                Some(&after) => format!("after `{}`", name(after)),
                None => "too early".to_owned(),
            };
            drafts.push(
                Draft::new(
                    Rule::StepOrder,
                    format!(
                        "`{}` comes {relation}; the steps ran as {}",
                        name(step),
                        order.join(", ")
                    ),
                )
                .example(index)
                .step(Some(step))
                .span(span)
                .subject(name(step)),
            );
        }
    }
}

pub(crate) fn repeated_step(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, alignment) in (0..).zip(&view.alignments) {
        for &(step, span) in &alignment.repeated {
            let declared = &view.contract.steps[usize::from(step)];
            if declared.hedging || declared.retries && has_failed(view, index, step) {
                continue;
            }
            let call = view.call_of.get(&span);
            let call = call.map(|&call| &view.calls[call as usize]);
            if call.is_some_and(|call| view.told_above(call).is_some()) {
                continue;
            }
            let name = declared.name.as_str();
            let message = format!("`{name}` is done again");
            drafts.push(
                Draft::new(Rule::RepeatedStep, message)
                    .example(index)
                    .step(Some(step))
                    .span(span)
                    .subject(name),
            );
        }
    }
}

/// Whether a call of a step ended badly, so that another try is no repetition.
fn has_failed(view: &View<'_>, example: u32, step: u16) -> bool {
    let mut calls = view.calls_of(&view.examples[example as usize]).iter();
    calls.any(|call| {
        call.step == Some(step) && view.traces.record(call.span).status == Status::Error
    })
}

pub(crate) fn undeclared_rpc(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let declared = |method: &str| {
        let steps = view
            .contract
            .steps
            .iter()
            .flat_map(|step| step.rpcs.iter().chain(&step.with));
        steps
            .chain(&view.contract.housekeeping)
            .any(|known| known == method)
    };
    for call in &view.calls {
        if call.judged && declared(call.method) {
            continue;
        }
        let name = view.traces.span(call.span).name();
        let what = if call.judged { call.method } else { name };
        drafts.push(
            Draft::new(
                Rule::UndeclaredRpc,
                format!("the call `{name}` belongs to no step and isn't housekeeping"),
            )
            .example(call.example)
            .span(call.span)
            .subject(what)
            .tell("rpc", what),
        );
    }
}
