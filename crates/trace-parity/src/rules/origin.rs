//! Did the spans come as the SDKs made them, or through something that changed them all?

use std::collections::BTreeMap;

use crate::draft::Draft;
use crate::rule::Rule;
use crate::traces::Value;
use crate::view::View;
use crate::view::calls::Call;

/// What a Zipkin on the way changes, so that a finding about it says nothing of the programs.
const CHANGED_BY_ZIPKIN: [Rule; 8] = [
    Rule::SpanName,
    Rule::AttributeType,
    Rule::AttributeValue,
    Rule::ResourceMismatch,
    Rule::SdkUnknown,
    Rule::ServerWorkDiffers,
    Rule::SeveralTraces,
    Rule::StaleDivergence,
];

/// Puts one finding in the place of all that a Zipkin on the way explains.
pub(crate) fn through_zipkin(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let mut examples: BTreeMap<u32, Vec<&Call<'_>>> = BTreeMap::new();
    for call in view.calls.iter().filter(|call| call.has_rpc_words()) {
        examples.entry(call.example).or_default().push(call);
    }
    let all = examples.len();
    examples.retain(|_, calls| calls.iter().all(|call| is_lower(view, call)));
    let calls: Vec<&Call<'_>> = examples.values().flatten().copied().collect();
    let Some(&first) = calls.first() else { return };
    let is_changed = |draft: &Draft| match draft.example {
        Some(example) => examples.contains_key(&example),
        None => examples.len() == all,
    };
    drafts.retain(|draft| !(CHANGED_BY_ZIPKIN.contains(&draft.rule) && is_changed(draft)));
    let mut message = format!(
        "all {} calls are named in lower case, such as `{}`",
        calls.len(),
        view.traces.span(first.span).name()
    );
    if calls.iter().any(|call| has_text_for_number(view, call)) {
        message.push_str(", and numbers are text");
    }
    message.push_str(": the capture passed through Zipkin");
    let mut draft = Draft::new(Rule::SpanName, message)
        .span(first.span)
        .subject("lower case")
        .count(calls.len())
        .case("zipkin");
    draft.example = (examples.len() == 1 && all > 1).then_some(first.example);
    drafts.push(draft);
}

/// The name is that of the call but for its capital letters.
fn is_lower(view: &View<'_>, call: &Call<'_>) -> bool {
    let name = view.traces.span(call.span).name();
    let own = format!("{}/{}", view.contract.server.rpc_service, call.method);
    !name.ends_with(&own) && name.ends_with(&own.to_lowercase())
}

fn has_text_for_number(view: &View<'_>, call: &Call<'_>) -> bool {
    let mut attributes = view.traces.span(call.span).attributes();
    attributes.any(|(key, value)| {
        key == "rpc.grpc.status_code"
            && matches!(value, Value::Str(text) if text.parse::<u8>().is_ok())
    })
}
