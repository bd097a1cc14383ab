//! The failures map as a value.

use serde::{Deserialize, Serialize};
use supervise::Result;

use super::expect::{Breach, Known, breaches};
use super::facts::Round;
use crate::map::Machine;
use crate::plan::Unmeasured;

/// The value of `schema` in the map's JSON.
const SCHEMA: &str = "milvus-otel.failures/1";

/// The JSON Schema of the map's JSON.
pub const FAILURES_SCHEMA: &str = include_str!("failures.schema.json");

/// What each example made of each fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureMap {
    pub schema: String,
    /// For example `Milvus 2.3.5 embedded`.
    pub server: String,
    pub machine: Machine,
    pub faults: Vec<FaultRow>,
    /// Known differences that no longer occur, as `fault example expectation`.
    pub stale: Vec<String>,
    pub unmeasured: Vec<Unmeasured>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultRow {
    pub name: String,
    pub about: String,
    /// RFC 3339, UTC.
    pub measured: String,
    pub cells: Vec<FaultCell>,
}

/// One example under one fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultCell {
    pub example: String,
    /// Alike rounds are one, the most frequent first.
    pub seen: Vec<Seen>,
    pub breaches: Vec<Breach>,
}

/// Rounds that differ in their time alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    pub round: Round,
    /// From each program's start to its end.
    pub seconds: Vec<f64>,
}

impl FailureMap {
    /// Judges the rows.
    pub(super) fn drawn(server: String, machine: Machine, rows: Vec<FaultRow>) -> Result<Self> {
        let known = Known::all()?;
        let mut faults = rows;
        for row in &mut faults {
            for cell in &mut row.cells {
                let rounds: Vec<Round> = cell.seen.iter().map(|seen| seen.round.clone()).collect();
                cell.breaches = breaches(&row.name, &cell.example, &rounds, &known);
            }
        }
        let cells = || {
            faults
                .iter()
                .flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
        };
        let stale = known.iter().filter(|known| {
            let mut own = cells().filter(|(row, cell)| known.is_of(&row.name, &cell.example));
            let was_measured = cells().any(|(row, cell)| known.is_of(&row.name, &cell.example));
            let is_it = |breach: &Breach| breach.expectation == known.expectation;
            was_measured && !own.any(|(_, cell)| cell.breaches.iter().any(is_it))
        });
        let stale = stale
            .map(|known| format!("{} {} {}", known.fault, known.example, known.expectation))
            .collect();
        let unmeasured = UNMEASURED.map(|(what, reason)| Unmeasured {
            what: what.to_owned(),
            reason: reason.to_owned(),
        });
        Ok(Self {
            schema: SCHEMA.to_owned(),
            server,
            machine,
            faults,
            stale,
            unmeasured: unmeasured.into(),
        })
    }

    /// Breaches without a known reason, as `fault example: breach`.
    pub fn unexpected(&self) -> Vec<String> {
        let cells = self.faults.iter().flat_map(|row| {
            let cells = row.cells.iter();
            cells.map(move |cell| (row, cell))
        });
        let told = cells.flat_map(|(row, cell)| {
            let unknown = cell
                .breaches
                .iter()
                .filter(|breach| breach.reason.is_none());
            unknown.map(move |breach| {
                let (expectation, message) = (breach.expectation, &breach.message);
                format!("{} {}: {expectation}: {message}", row.name, cell.example)
            })
        });
        told.collect()
    }

    pub fn is_as_expected(&self) -> bool {
        self.stale.is_empty() && self.unexpected().is_empty()
    }

    #[expect(clippy::missing_panics_doc, reason = "the keys are strings")]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a map has strings for keys");
        text.push('\n');
        text
    }
}

/// Failures that need another server, or other programs.
const UNMEASURED: [(&str, &str); 2] = [
    (
        "a missing collection, a wrong dimension, a collection that isn't loaded",
        "Milvus reports them in the answer's body under gRPC status OK, and the examples' scenario makes none of these calls",
    ),
    (
        "a wrong token, Milvus's own rate limit",
        "they are settings of the whole server, which serves all examples here; `unauthenticated` and `resource-exhausted` play their statuses",
    ),
];

impl FaultRow {
    /// This measurement with the examples that only an earlier one has.
    pub(super) fn beside(mut self, earlier: Self) -> Self {
        let is_new = |cell: &FaultCell| self.cells.iter().any(|own| own.example == cell.example);
        let others: Vec<FaultCell> = earlier
            .cells
            .into_iter()
            .filter(|cell| !is_new(cell))
            .collect();
        self.cells.extend(others);
        self
    }

    /// How each example fared, in one line.
    pub fn summary(&self) -> String {
        let cells = self
            .cells
            .iter()
            .map(|cell| format!("{} {}", cell.example, cell.outcome()));
        cells.collect::<Vec<_>>().join(", ")
    }
}

impl FaultCell {
    pub(super) fn add(&mut self, round: Round, seconds: f64) {
        match self.seen.iter_mut().find(|seen| seen.round == round) {
            Some(seen) => seen.seconds.push(seconds),
            None => self.seen.push(Seen {
                round,
                seconds: vec![seconds],
            }),
        }
        // Stable, so that of equally frequent ones the first stays first.
        self.seen
            .sort_by_key(|seen| std::cmp::Reverse(seen.seconds.len()));
    }

    /// How the program fared, in a few words; `/` stands between different rounds.
    pub fn outcome(&self) -> String {
        let mut outcomes: Vec<String> = self.seen.iter().map(|seen| seen.round.outcome()).collect();
        outcomes.dedup();
        outcomes.join(" / ")
    }
}

impl Round {
    fn outcome(&self) -> String {
        let last = self.attempts.last();
        let failure = last.and_then(|last| last.failure.as_deref());
        let how = match (self.exit.as_str(), failure) {
            ("0", _) => "well".to_owned(),
            ("timed out", _) => "hangs".to_owned(),
            (_, Some(failure)) => failure.to_owned(),
            (_, None) => "fails".to_owned(),
        };
        match self.attempts.len() {
            0 | 1 => how,
            attempts => format!("{how}, {attempts} attempts"),
        }
    }
}
