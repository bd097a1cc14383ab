//! The stage model: `stages.toml`, checked.

use std::sync::OnceLock;

use serde::Deserialize;

/// The stages of calls, and the parts of spans that make them.
#[derive(Debug)]
pub struct Model {
    stages: Vec<Stage>,
    insides: Vec<Inside>,
    elsewhere: Vec<ElsewhereRow>,
    loggers: Vec<Logger>,
    parts: Vec<Part>,
}

/// A part of a call's time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// In JSON and on the command line: `query-queue`.
    pub name: String,
    /// For people: `query node queue`.
    pub title: String,
    pub side: Side,
    pub kind: StageKind,
    pub about: String,
}

/// On whose side of a call time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    Client,
    Network,
    Server,
}

/// Whether something works in a stage, or the call waits for a turn, an event or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageKind {
    Work,
    Wait,
}

/// A span that works in the time of another one than its parent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inside {
    pub(crate) span: Pattern,
    pub(crate) of: Pattern,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "tells readers of the file where the row comes from"
    )]
    read: Option<String>,
}

/// Work that a call causes in a trace of the server's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ElsewhereRow {
    pub(crate) methods: Vec<String>,
    pub(crate) root: Pattern,
    pub(crate) within_ms: u64,
    pub(crate) about: String,
}

/// In whose time the code of some folders logs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Logger {
    folders: Vec<String>,
    spans: Vec<Pattern>,
}

/// Which part of a span's own time belongs to which stage.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) stage: StageId,
    pub(crate) always: bool,
    pub(crate) deep: bool,
    pub(crate) whole: bool,
    /// Read in the sources of these versions of Milvus, and not run.
    pub(crate) read: Option<String>,
    pub(crate) after: Vec<Pattern>,
    pub(crate) before: Vec<Pattern>,
    pub(crate) after_event: Option<String>,
    pub(crate) before_event: Option<String>,
    span: Pattern,
    methods: Vec<String>,
}

/// An index of [`Model::stages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub(crate) u8);

/// A span's name, with at most one `*` for any text.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Pattern {
    head: String,
    tail: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    stage: Vec<Stage>,
    inside: Vec<Inside>,
    elsewhere: Vec<ElsewhereRow>,
    logger: Vec<Logger>,
    part: Vec<PartRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartRow {
    span: Pattern,
    stage: String,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    always: bool,
    #[serde(default)]
    deep: bool,
    #[serde(default)]
    whole: bool,
    #[serde(default)]
    after: Vec<Pattern>,
    #[serde(default)]
    before: Vec<Pattern>,
    after_event: Option<String>,
    before_event: Option<String>,
    read: Option<String>,
}

const SCHEMA: &str = "milvus-otel.stages/1";

impl Model {
    /// The model of `stages.toml`, parsed once.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Model> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            Self::parse(include_str!("stages.toml")).expect("a test parses the built-in stages")
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.schema != SCHEMA {
            return Err(format!("its schema is `{}`", file.schema));
        }
        let stages = file.stage;
        let part = |row: PartRow| {
            let place = stages.iter().position(|stage| stage.name == row.stage);
            let stage = place.and_then(|place| u8::try_from(place).ok());
            let stage = stage.ok_or_else(|| format!("there is no stage `{}`", row.stage))?;
            Ok(Part {
                stage: StageId(stage),
                always: row.always,
                deep: row.deep || row.whole,
                whole: row.whole,
                read: row.read,
                after: row.after,
                before: row.before,
                after_event: row.after_event,
                before_event: row.before_event,
                span: row.span,
                methods: row.methods,
            })
        };
        let parts: Result<Vec<Part>, String> = file.part.into_iter().map(part).collect();
        Ok(Self {
            parts: parts?,
            insides: file.inside,
            elsewhere: file.elsewhere,
            loggers: file.logger,
            stages,
        })
    }

    /// In the order of a call.
    pub fn stages(&self) -> impl Iterator<Item = (StageId, &Stage)> {
        (0..).map(StageId).zip(&self.stages)
    }

    #[must_use]
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.index()]
    }

    /// The stage called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<StageId> {
        let mut stages = self.stages();
        stages.find_map(|(id, stage)| (stage.name == name).then_some(id))
    }

    /// The parts of a span called `name` in calls of `method`, in the order in which they are tried.
    pub(crate) fn parts_of(&self, name: &str, method: &str) -> Vec<&Part> {
        let parts = self.parts.iter();
        let own = parts.filter(|part| part.span.is(name) && part.is_of(method));
        own.collect()
    }

    pub(crate) fn elsewhere(&self) -> &[ElsewhereRow] {
        &self.elsewhere
    }

    /// Whether what stands in `source`, such as `proxy/impl.go:111`, may have been logged in the time of a span called `name`.
    pub(crate) fn may_log(&self, source: &str, name: &str) -> bool {
        let folder = source.split('/').next().unwrap_or(source);
        let mut own = self.loggers.iter();
        let own = own.find(|logger| logger.folders.iter().any(|known| known == folder));
        own.is_some_and(|logger| logger.spans.iter().any(|pattern| pattern.is(name)))
    }

    /// The numbers of the rows that are wanted.
    pub(crate) fn insides(&self, is_wanted: impl Fn(&Inside) -> bool) -> Vec<usize> {
        let rows = self.insides.iter().enumerate();
        let wanted = rows.filter(|(_, inside)| is_wanted(inside));
        wanted.map(|(number, _)| number).collect()
    }
}

impl StageId {
    /// Its place among [`Model::stages`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Side {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Network => "network",
            Self::Server => "server",
        }
    }
}

impl StageKind {
    /// The name in tables and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Wait => "wait",
        }
    }
}

impl Part {
    fn is_of(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|own| own == method)
    }

    /// It is the same for all of the span's own time.
    pub(crate) fn is_unconditional(&self) -> bool {
        self.after.is_empty()
            && self.before.is_empty()
            && self.after_event.is_none()
            && self.before_event.is_none()
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        match text.split_once('*') {
            None => Self {
                head: text,
                tail: None,
            },
            Some((head, tail)) => Self {
                head: head.to_owned(),
                tail: Some(tail.to_owned()),
            },
        }
    }
}

impl Pattern {
    pub(crate) fn is(&self, name: &str) -> bool {
        match &self.tail {
            None => self.head == name,
            Some(tail) => {
                name.len() >= self.head.len() + tail.len()
                    && name.starts_with(&self.head)
                    && name.ends_with(tail.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_stages_are_sound() {
        let model = Model::builtin();
        let mut names: Vec<&str> = model
            .stages()
            .map(|(_, stage)| stage.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), model.stages.len(), "each name stands once");
        for (id, stage) in model.stages() {
            assert!(
                model.parts.iter().any(|part| part.stage == id),
                "no part makes the stage `{}`",
                stage.name
            );
        }
        for part in &model.parts {
            assert!(
                part.is_unconditional() || !(part.whole || part.always),
                "{part:?}"
            );
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(
                Pattern::from(pattern.to_owned()).is(name),
                expected,
                "{pattern} {name}"
            );
        };
        check("Proxy-Search", "Proxy-Search", true);
        check("Proxy-Search", "Proxy-Search-Execute", false);
        check("*Task", "SearchTask", true);
        check("Proxy-*-Execute", "Proxy-Insert-Execute", true);
        check("Proxy-*-Execute", "Proxy-Execute", false);
        check("Proxy-*", "Proxy-", true);
    }

    #[test]
    fn a_wrong_file_is_an_error_that_names_the_mistake() {
        let check = |text: &str, expected: &str| {
            let error = Model::parse(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        };
        check("", "schema");
        let file = |part: &str| {
            format!(
                "schema = \"milvus-otel.stages/1\"\nstage = []\ninside = []\nelsewhere = []\nlogger = []\n[[part]]\n{part}"
            )
        };
        check(
            &file("span = \"a\"\nstage = \"b\""),
            "there is no stage `b`",
        );
        check(&file("span = \"a\"\nstge = \"b\""), "stge");
        check(&file("").replace("/1", "/2"), "missing field");
    }
}
