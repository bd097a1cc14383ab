//! Did the spans come as the SDKs made them, or through something that changed them all?

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
    let calls: Vec<&Call<'_>> = view
        .calls
        .iter()
        .filter(|call| call.has_rpc_words())
        .collect();
    let Some(&first) = calls.first() else { return };
    if !calls.iter().all(|call| is_lower(view, call)) {
        return;
    }
    drafts.retain(|draft| !CHANGED_BY_ZIPKIN.contains(&draft.rule));
    let mut message = format!(
        "all {} calls are named in lower case, such as `{}`",
        calls.len(),
        view.traces.span(first.span).name()
    );
    if calls.iter().any(|call| has_text_for_number(view, call)) {
        message.push_str(", and numbers are text");
    }
    message.push_str(": the capture passed through Zipkin");
    drafts.push(
        Draft::new(Rule::SpanName, message)
            .span(first.span)
            .subject("lower case")
            .count(calls.len())
            .case("zipkin"),
    );
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
