//! Why a call took so long: the rows of `reasons.toml` whose evidence was seen.

use std::cmp::Reverse;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::activity::Activity;
use crate::call::{CallTime, Segments};
use crate::model::{Model, StageId};

/// A reason for a part of a call's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In JSON and for tests: `consistency-wait`.
    pub name: &'static str,
    /// How much of the time it explains.
    pub ns: u64,
    pub says: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// How the row is known.
    pub source: &'static str,
    /// Other causes would look alike.
    pub is_guess: bool,
    /// What was seen, as sentences.
    pub evidence: Vec<String>,
}

/// What is usual for calls of an operation: lower quartiles, so that many slow calls are no usual ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usual {
    pub(crate) calls: usize,
    pub(crate) total_ns: u64,
    pub(crate) stages: Vec<(StageId, u64)>,
    pub(crate) program_ns: u64,
}

#[derive(Debug)]
struct Row {
    stages: Vec<StageId>,
    needs: Vec<StageId>,
    text: RowText,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowText {
    name: String,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    stages: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    at_once: usize,
    #[serde(default)]
    program: bool,
    outside: Option<Outside>,
    segments: Option<RowSegments>,
    #[serde(default)]
    min_ms: u64,
    #[serde(default)]
    guess: bool,
    says: String,
    #[serde(rename = "try")]
    advice: String,
    source: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outside {
    All,
    This,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RowSegments {
    Merged,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonFile {
    schema: String,
    reason: Vec<RowText>,
}

const SCHEMA: &str = "milvus-otel.reasons/1";

/// A call this many times as long as usual is told by what grew; another one by what it is.
const OUTLIER: (u64, u64) = (3, 2);
/// So many calls say what is usual.
const ENOUGH: usize = 20;
/// A reason explains at least this part of the time, in percent, and this many nanoseconds.
const SHARE: u64 = 20;
const LEAST_NS: u64 = 300_000;

/// The row that explains the time in which the server's own work stood still.
const STOOD_STILL: &str = "server-stood-still";
/// A stage is told that has at least this part of what a reason explains.
const TOLD: u64 = 10;

fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        parse(include_str!("reasons.toml")).expect("a test parses the built-in reasons")
    })
}

fn parse(text: &str) -> Result<Vec<Row>, String> {
    let file: ReasonFile = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.schema != SCHEMA {
        return Err(format!("its schema is `{}`", file.schema));
    }
    let ids = |names: &[String]| -> Result<Vec<StageId>, String> {
        let found = names.iter().map(|name| {
            let stage = Model::builtin().find(name);
            stage.ok_or_else(|| format!("there is no stage `{name}`"))
        });
        found.collect()
    };
    let rows = file.reason.into_iter().map(|text| {
        Ok(Row {
            stages: ids(&text.stages)?,
            needs: ids(&text.needs)?,
            text,
        })
    });
    rows.collect()
}

/// A call whose time is to be explained, with what is known beside it.
pub(crate) struct Question<'q, 't> {
    time: &'q CallTime<'t>,
    usual: &'q Usual,
    activity: &'q Activity<'t>,
    /// It is told by what grew.
    is_outlier: bool,
    /// Nanoseconds that are to be explained.
    all_ns: u64,
}

/// What was seen, as sentences, where somebody wants them.
struct Evidence(Option<Vec<String>>);

impl Evidence {
    fn say(&mut self, sentence: impl FnOnce() -> String) {
        if let Some(sentences) = &mut self.0 {
            sentences.push(sentence());
        }
    }
}

impl<'q, 't> Question<'q, 't> {
    pub(crate) fn new(
        time: &'q CallTime<'t>,
        usual: &'q Usual,
        activity: &'q Activity<'t>,
    ) -> Self {
        let whole = time.total_ns + time.program.map_or(0, |program| program.after_ns);
        let usual_ns = usual.total_ns + usual.program_ns;
        let is_outlier =
            usual.calls >= ENOUGH && whole > usual_ns.saturating_mul(OUTLIER.0) / OUTLIER.1;
        let mut question = Self {
            time,
            usual,
            activity,
            is_outlier,
            all_ns: 0,
        };
        question.all_ns = question.over(whole, usual_ns);
        question
    }

    /// The reasons, the one that explains most first.
    pub(crate) fn reasons(&self) -> Vec<Reason> {
        let mut found: Vec<Reason> = rows()
            .iter()
            .filter_map(|row| {
                let mut evidence = Evidence(Some(Vec::new()));
                let ns = self.explained_by(row, &mut evidence)?;
                Some(Reason {
                    name: &row.text.name,
                    ns,
                    says: &row.text.says,
                    advice: &row.text.advice,
                    source: &row.text.source,
                    is_guess: row.text.guess,
                    evidence: evidence.0.unwrap_or_default(),
                })
            })
            .collect();
        found.sort_by_key(|reason| Reverse(self.tenth(reason.ns)));
        let stood_still = found.first().filter(|reason| reason.name == STOOD_STILL);
        if let Some(stood_still) = stood_still.map(|reason| reason.ns) {
            // Whatever else was under way stood still as well.
            found.retain(|reason| {
                reason.name == STOOD_STILL || self.is_enough(reason.ns.saturating_sub(stood_still))
            });
        }
        found
    }

    /// The name of the first of the reasons.
    pub(crate) fn first(&self) -> Option<&'static str> {
        let causes = rows().iter().filter_map(|row| {
            let ns = self.explained_by(row, &mut Evidence(None))?;
            Some((self.tenth(ns), row.text.name.as_str()))
        });
        let first = causes.reduce(|first, next| if next.0 > first.0 { next } else { first });
        first.map(|(_, name)| name)
    }

    /// Rows that explain about the same stay in their order.
    fn tenth(&self, ns: u64) -> u128 {
        u128::from(ns) * 10 / u128::from(self.all_ns.max(1))
    }

    fn over(&self, ns: u64, usual: u64) -> u64 {
        ns.saturating_sub(if self.is_outlier { usual } else { 0 })
    }

    fn is_enough(&self, ns: u64) -> bool {
        ns >= LEAST_NS && u128::from(ns) * 100 >= u128::from(self.all_ns) * u128::from(SHARE)
    }

    /// What is usual of a stage.
    fn known(&self, stage: StageId) -> u64 {
        let known = self.usual.stages.iter().find(|(known, _)| *known == stage);
        known.map_or(0, |(_, ns)| *ns)
    }

    /// How much of the time the row explains; `None` where that is little, or something that the row needs wasn't seen.
    fn explained_by(&self, row: &Row, evidence: &mut Evidence) -> Option<u64> {
        let Self { time, activity, .. } = self;
        let is_given = |ns: u64| self.is_enough(ns) && ns >= row.text.min_ms * 1_000_000;
        let has = |stage: &StageId| time.stages.iter().any(|own| own.stage == *stage);
        let mut methods = row.text.methods.iter();
        let is_of = row.text.methods.is_empty() || methods.any(|own| own == time.call.method);
        if !is_of || !row.needs.iter().all(has) {
            return None;
        }
        if row.text.segments == Some(RowSegments::Merged) && time.segments != Segments::Merged {
            return None;
        }
        if row.text.at_once > 0 {
            let others = activity.at_once(&time.call);
            if others < row.text.at_once {
                return None;
            }
            evidence.say(|| format!("{others} other calls were under way in its time"));
        }
        if row.text.name == STOOD_STILL {
            let silence = activity.silence(&time.call)?;
            evidence.say(|| format!(
                "for {} none of the server's own spans began or ended, such as those of its timers; {} begins and ends would be usual in that time",
                milliseconds(silence.ns),
                silence.usual,
            ));
            return Some(silence.ns).filter(|ns| is_given(*ns));
        }
        if row.text.program {
            let program = time.program?;
            evidence.say(|| {
                format!(
                    "`{}` goes on for {} after the call",
                    program.span.name(),
                    milliseconds(program.after_ns)
                )
            });
            let ns = self.over(program.after_ns, self.usual.program_ns);
            return Some(ns).filter(|ns| is_given(*ns));
        }
        let more = |stage: &StageId| self.over(time.ns(*stage), self.known(*stage));
        let ns: u64 = row.stages.iter().map(more).sum();
        if !is_given(ns) {
            return None;
        }
        let is_told = |stage: &&StageId| {
            let more = more(stage);
            row.needs.contains(stage) || (more > 0 && more * TOLD >= ns)
        };
        for stage in row.stages.iter().filter(is_told) {
            evidence.say(|| self.stage_evidence(*stage));
        }
        if let Some(outside) = row.text.outside {
            let (others, is_trace) = activity.neighbors(&time.call)?;
            let all_alike = is_trace && others.least_ns * 2 >= ns;
            if all_alike != (outside == Outside::All) {
                return None;
            }
            evidence.say(|| {
                format!(
                    "{} other calls of the {} spend {} or more outside of the server, in the median {}",
                    others.count,
                    if is_trace { "trace" } else { "program" },
                    milliseconds(others.least_ns),
                    milliseconds(others.median_ns)
                )
            });
        }
        Some(ns)
    }

    /// `consistency wait: 94.7 ms of 99.0 ms, 0.1 ms in a fast call (of 20, the lower quartile)`
    fn stage_evidence(&self, stage: StageId) -> String {
        let time = self.time;
        let title = &Model::builtin().stage(stage).title;
        let mut text = format!(
            "{title}: {} of {}",
            milliseconds(time.ns(stage)),
            milliseconds(time.total_ns)
        );
        if self.usual.calls >= ENOUGH {
            text += &format!(
                ", {} in a fast call (of {}, the lower quartile)",
                milliseconds(self.known(stage)),
                self.usual.calls
            );
        }
        let all = time.stages.iter().find(|time| time.stage == stage);
        if let Some(all) = all.filter(|all| all.all_ns > all.ns && all.count > 1) {
            text += &format!(
                "; {} spans worked side by side, {} together",
                all.count,
                milliseconds(all.all_ns)
            );
        }
        text
    }
}

fn milliseconds(ns: u64) -> String {
    format!("{:.1} ms", ns as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_reasons_are_sound() {
        let rows = parse(include_str!("reasons.toml")).unwrap();
        for row in &rows {
            let kinds = usize::from(row.text.name == STOOD_STILL)
                + usize::from(row.text.program)
                + usize::from(!row.stages.is_empty());
            assert_eq!(kinds, 1, "`{}` explains one kind of time", row.text.name);
        }
    }

    #[test]
    fn a_wrong_row_is_an_error_that_names_the_mistake() {
        let check = |row: &str, expected: &str| {
            let text = format!(
                "schema = \"{SCHEMA}\"\n[[reason]]\nname = \"x\"\nsays = \"\"\ntry = \"\"\nsource = \"\"\n{row}"
            );
            let error = parse(&text).expect_err(row);
            assert!(error.contains(expected), "{error}");
        };
        check("stages = [\"nowhere\"]", "there is no stage `nowhere`");
        check("stage = []", "unknown field `stage`");
        check("outside = \"some\"", "unknown variant `some`");
    }
}
