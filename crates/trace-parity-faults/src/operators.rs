//! The ways to break a capture.

mod input;
mod links;
mod place;
mod presence;
mod resources;
mod scenario;
mod times;
mod words;

use trace_parity::Rule;

use crate::edit::{Edit, Expected, Operator};

const fn operator(
    name: &'static str,
    rule: Rule,
    apply: fn(&mut Edit<'_>) -> Option<Expected>,
) -> Operator {
    Operator { name, rule, apply }
}

/// Every operator.
pub const OPERATORS: &[Operator] = &[
    operator("drop a call's span", Rule::OrphanSpan, presence::drop_call),
    operator(
        "drop a server span",
        Rule::NoServerSpan,
        presence::drop_server,
    ),
    operator(
        "drop a span within the server's work",
        Rule::OrphanSpan,
        presence::drop_inner,
    ),
    operator("drop the root", Rule::NoRoot, presence::drop_root),
    operator("lose all spans", Rule::NoSpans, presence::lose_all),
    operator(
        "run uninstrumented",
        Rule::ClientUnseen,
        presence::uninstrumented,
    ),
    operator(
        "take out a span of server_core",
        Rule::ServerWorkDiffers,
        presence::take_out_core,
    ),
    operator("cut a call's parent", Rule::SeveralRoots, links::cut_call),
    operator(
        "cut a server span's parent",
        Rule::SeveralRoots,
        links::cut_server,
    ),
    operator(
        "cut a parent within the server's work",
        Rule::SeveralRoots,
        links::cut_inner,
    ),
    operator(
        "invent a call's parent",
        Rule::OrphanSpan,
        links::invent_call,
    ),
    operator(
        "invent a server span's parent",
        Rule::OrphanSpan,
        links::invent_server,
    ),
    operator(
        "invent a parent within the server's work",
        Rule::OrphanSpan,
        links::invent_inner,
    ),
    operator(
        "put a call under another call",
        Rule::WrongParent,
        links::call_under_call,
    ),
    operator(
        "put a call under a server span",
        Rule::WrongParent,
        links::call_under_server,
    ),
    operator(
        "put a server span under another call",
        Rule::WrongParent,
        links::server_under_other,
    ),
    operator(
        "put a server span under the root",
        Rule::WrongParent,
        links::server_under_root,
    ),
    operator(
        "swap the parents of two server spans",
        Rule::WrongParent,
        links::swap_servers,
    ),
    operator(
        "close a circle over a call",
        Rule::ParentCycle,
        links::cycle_call,
    ),
    operator(
        "close a circle within the server's work",
        Rule::ParentCycle,
        links::cycle_inner,
    ),
    operator(
        "make a span its own parent",
        Rule::ParentCycle,
        links::cycle_self,
    ),
    operator(
        "give a call another call's id",
        Rule::DuplicateSpanId,
        links::repeat_id_call,
    ),
    operator(
        "repeat an id within the server's work",
        Rule::DuplicateSpanId,
        links::repeat_id_inner,
    ),
    operator(
        "split a call off into a trace",
        Rule::SeveralTraces,
        links::split_call,
    ),
    operator(
        "split a call off without its parent",
        Rule::SeveralTraces,
        links::split_call_cut,
    ),
    operator(
        "give a call's server half another trace",
        Rule::WrongParent,
        links::split_server,
    ),
    operator(
        "re-root a call's server half",
        Rule::ContextLost,
        links::reroot_server,
    ),
    operator(
        "re-root every server half",
        Rule::ContextLost,
        links::reroot_all,
    ),
    operator(
        "answer a call by another method",
        Rule::WrongServer,
        words::answer_otherwise,
    ),
    operator(
        "rename the server's service",
        Rule::WrongServer,
        words::rename_server,
    ),
    operator(
        "rename the service within the server's work",
        Rule::WrongServer,
        words::rename_inner,
    ),
    operator("rename a call", Rule::SpanName, words::rename_call),
    operator(
        "name a call after another method",
        Rule::SpanName,
        words::rename_method,
    ),
    operator("rename the root", Rule::SpanName, words::rename_root),
    operator(
        "rename an attribute",
        Rule::AttributeMissing,
        words::rename_attribute,
    ),
    operator(
        "write an attribute as 1.39 does",
        Rule::AttributeRenamed,
        words::newer_attribute,
    ),
    operator(
        "change an attribute's type",
        Rule::AttributeType,
        words::retype_attribute,
    ),
    operator(
        "change an attribute's value",
        Rule::AttributeValue,
        words::change_value,
    ),
    operator("change a call's kind", Rule::WrongKind, words::kind_call),
    operator(
        "change a server span's kind",
        Rule::WrongKind,
        words::kind_server,
    ),
    operator("change the root's kind", Rule::WrongKind, words::kind_root),
    operator(
        "fail a call for the client",
        Rule::StatusDiffers,
        words::status_call,
    ),
    operator(
        "fail a call for the server",
        Rule::StatusDiffers,
        words::status_server,
    ),
    operator(
        "fail a call for both",
        Rule::StatusDiffers,
        words::status_both,
    ),
    operator(
        "fail the root alone",
        Rule::UnmarkedError,
        words::status_root,
    ),
    operator("reverse a call's times", Rule::BadTime, times::reverse_call),
    operator(
        "reverse a server span's times",
        Rule::BadTime,
        times::reverse_server,
    ),
    operator(
        "reverse the root's times",
        Rule::BadTime,
        times::reverse_root,
    ),
    operator("move a call by an hour", Rule::BadTime, times::move_call),
    operator(
        "move a server span by an hour",
        Rule::BadTime,
        times::move_server,
    ),
    operator("lose a call's start", Rule::BadTime, times::zero_call),
    operator("lose a step", Rule::MissingStep, scenario::lose_step),
    operator("repeat a step", Rule::RepeatedStep, scenario::repeat_step),
    operator("swap two steps", Rule::StepOrder, scenario::swap_steps),
    operator(
        "add an undeclared RPC",
        Rule::UndeclaredRpc,
        scenario::add_rpc,
    ),
    operator(
        "rename the client's service",
        Rule::ResourceMismatch,
        resources::rename_client,
    ),
    operator(
        "lose a resource attribute",
        Rule::ResourceMismatch,
        resources::lose_resource,
    ),
    operator(
        "lose a resource attribute in one batch",
        Rule::ResourceMismatch,
        resources::lose_resource_once,
    ),
    operator("lose the SDK's name", Rule::SdkUnknown, resources::lose_sdk),
    operator(
        "truncate the last record",
        Rule::MalformedInput,
        input::truncate,
    ),
    operator("corrupt a record", Rule::MalformedInput, input::corrupt),
    operator(
        "corrupt a span's id",
        Rule::MalformedInput,
        input::corrupt_id,
    ),
    operator(
        "add an unknown field",
        Rule::MalformedInput,
        input::unknown_field,
    ),
    operator(
        "duplicate a record",
        Rule::DuplicateSpanId,
        input::duplicate_record,
    ),
];
