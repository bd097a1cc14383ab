//! Gives findings their hints: the rows of advice that a finding's evidence supports, an action a line.

use crate::advice::{Advice, Certainty, Needs};
use crate::draft::Draft;
use crate::traces::Span;
use crate::view::View;
use crate::view::links::Side;

/// Whether evidence supports a need; ordered so that the least of several is the answer for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Support {
    Against,
    /// Nothing in the evidence says.
    Unknown,
    For,
}

impl Support {
    fn known(holds: bool) -> Self {
        if holds {
            Support::For
        } else {
            Support::Against
        }
    }
}

/// Fills in the hint of every draft that has none.
pub(crate) fn give(view: &View<'_>, drafts: &mut [Draft]) {
    for draft in drafts.iter_mut().filter(|draft| draft.hint.is_none()) {
        draft.hint = Evidence::new(view, draft).hint();
    }
}

/// Evidence that stands behind a name.
const VERSIONS: [&str; 4] = ["sdk", "distro", "scope_version", "server_scope_version"];

/// What is known about a finding.
struct Evidence<'v> {
    view: &'v View<'v>,
    draft: &'v Draft,
    /// The span of the program: the call, or whatever else stands for it.
    client: Option<Span<'v>>,
    server: Option<Span<'v>>,
}

impl<'v> Evidence<'v> {
    fn new(view: &'v View<'v>, draft: &'v Draft) -> Self {
        let side = |span: &u32| view.links.side(*span);
        let own = draft.span.filter(|span| side(span) == Side::Client);
        let example = draft
            .example
            .map(|example| &view.examples[example as usize]);
        let first_of_example = || {
            let example = example?;
            let calls = view.calls_of(example).iter().map(|call| call.span);
            example.root.into_iter().chain(calls).next()
        };
        let client = own.or_else(first_of_example);
        let call = own.and_then(|span| view.call_of.get(&span));
        let answer = call.and_then(|&call| view.calls[call as usize].answered_by());
        let server = answer.or(draft.span.filter(|span| side(span) == Side::Server));
        Evidence {
            view,
            draft,
            client: client.map(|span| view.traces.span(span)),
            server: server.map(|span| view.traces.span(span)),
        }
    }

    fn hint(&self) -> Option<String> {
        let rows = Advice::of(self.draft.rule).iter();
        let mut supported: Vec<(Certainty, &Advice)> = rows
            .filter_map(|advice| match self.supports(&advice.needs) {
                Support::Against => None,
                Support::For => Some((advice.certainty, *advice)),
                Support::Unknown => Some((advice.certainty.max(Certainty::Cause), *advice)),
            })
            .collect();
        let surest = supported.iter().map(|(certainty, _)| *certainty).min()?;
        supported.retain(|(certainty, _)| *certainty == surest);
        if surest != Certainty::Cause {
            supported.truncate(1);
        }
        let joint = if supported.len() > 1 {
            "; a guess: "
        } else {
            ": "
        };
        let actions: Vec<String> = supported
            .iter()
            .map(|(_, advice)| self.action(advice, joint))
            .collect();
        Some(actions.join("\n"))
    }

    /// What to do, and why.
    fn action(&self, advice: &Advice, joint: &str) -> String {
        let text = if advice.says.is_empty() {
            advice.cure.clone()
        } else {
            format!("{}{joint}{}", advice.cure, advice.says)
        };
        self.fill(&text)
    }

    /// Puts evidence in the place of each `{name}`.
    fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, name, after)) = placeholder(rest) {
            out.push_str(before);
            match self.named(name).filter(|value| !value.is_empty()) {
                Some(value) => out.push_str(&value),
                None if VERSIONS.contains(&name) => out.push_str("of an unknown version"),
                None => out.push_str(&format!("{{{name}}}")),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn named(&self, name: &str) -> Option<String> {
        if let Some(told) = self.draft.told(name) {
            return Some(told.to_owned());
        }
        match name {
            "sdk" => self.resource("telemetry.sdk.version"),
            "distro" => self.resource("telemetry.distro.version"),
            "flags" => self.flags(),
            "scope" => Some(short(self.client?.scope_name()).to_owned()),
            "scope_version" => Some(self.client?.scope_version().to_owned()),
            "server_scope" => Some(short(self.server?.scope_name()).to_owned()),
            "server_scope_version" => Some(self.server?.scope_version().to_owned()),
            _ => None,
        }
    }

    fn resource(&self, key: &str) -> Option<String> {
        let mut attributes = self.client?.resource_attributes();
        let (_, value) = attributes.find(|(known, _)| *known == key)?;
        Some(value.to_string())
    }

    fn flags(&self) -> Option<String> {
        Some(format!("{:02x}", self.client?.flags() & 0xff))
    }

    fn supports(&self, needs: &Needs) -> Support {
        let Needs {
            case,
            language,
            sdk,
            distribution,
            distro,
            scope,
            scope_version,
            server_scope,
            server_scope_version,
            flags,
            has,
            lacks,
            beside,
            without,
            told,
        } = needs;
        let scope_of = |span: Option<Span<'_>>, part: &Option<String>| match (part, span) {
            (None, _) => Support::For,
            (Some(_), None) => Support::Unknown,
            (Some(part), Some(span)) => Support::known(span.scope_name().contains(part.as_str())),
        };
        let version_of = |span: Option<Span<'v>>| span.map(|span| span.scope_version().to_owned());
        let mut told = told
            .iter()
            .map(|(name, allowed)| one_of(self.draft.told(name), allowed));
        let checks = [
            one_of(Some(self.draft.case), case),
            told.by_ref().min().unwrap_or(Support::For),
            one_of(self.resource("telemetry.sdk.language").as_deref(), language),
            within(sdk.as_ref(), self.resource("telemetry.sdk.version")),
            // A distribution's version is of no use without one.
            distribution
                .or(distro.as_ref().map(|_| true))
                .map_or(Support::For, |expected| {
                    let found = self.resource("telemetry.distro.name").is_some();
                    Support::known(found == expected)
                }),
            within(distro.as_ref(), self.resource("telemetry.distro.version")),
            scope_of(self.client, scope),
            within(scope_version.as_ref(), version_of(self.client)),
            scope_of(self.server, server_scope),
            within(server_scope_version.as_ref(), version_of(self.server)),
            one_of(self.flags().as_deref(), flags),
            Support::known(has.iter().all(|key| self.has(key))),
            Support::known(!lacks.iter().any(|key| self.has(key))),
            Support::known(beside.is_empty() || self.is_beside(beside)),
            Support::known(without.is_empty() || !self.is_beside(without)),
        ];
        checks.into_iter().min().unwrap_or(Support::For)
    }

    fn has(&self, key: &str) -> bool {
        let attributes = self.client.into_iter().flat_map(|span| span.attributes());
        attributes.into_iter().any(|(known, _)| known == key)
    }

    /// Whether a scope of one of these names made a span of the program.
    fn is_beside(&self, parts: &[String]) -> bool {
        let Some(example) = self.draft.example else {
            return false;
        };
        let traces = self.view.examples[example as usize].traces.iter();
        let mut spans = traces.flat_map(|&trace| self.view.traces.traces[trace as usize].spans());
        spans.any(|span| {
            self.view.links.side(span) == Side::Client && {
                let scope = self.view.traces.span(span).scope_name();
                parts.iter().any(|part| scope.contains(part.as_str()))
            }
        })
    }
}

/// The text before the first `{name}`, the name, and the text after it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// Nothing is the same as an empty text.
fn one_of(found: Option<&str>, allowed: &[String]) -> Support {
    if allowed.is_empty() {
        return Support::For;
    }
    let found = found.unwrap_or_default();
    Support::known(allowed.iter().any(|known| known == found))
}

fn within(range: Option<&versions::Range>, version: Option<String>) -> Support {
    match (range, version.filter(|version| !version.is_empty())) {
        (None, _) => Support::For,
        (Some(_), None) => Support::Unknown,
        (Some(range), Some(version)) => Support::known(range.contains(&version)),
    }
}

/// The last part of a scope's path.
fn short(scope: &str) -> &str {
    scope.rsplit('/').next().unwrap_or(scope)
}
