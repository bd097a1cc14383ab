//! The failures map as a value.

use serde::{Deserialize, Serialize};
use supervise::Result;

use super::expect::{Breach, Known, breaches};
use super::facts::Round;
use crate::map::Machine;

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
        let mut map = Self {
            schema: SCHEMA.to_owned(),
            server,
            machine,
            faults: rows,
            stale: Vec::new(),
        };
        for row in &mut map.faults {
            for cell in &mut row.cells {
                let rounds: Vec<Round> = cell.seen.iter().map(|seen| seen.round.clone()).collect();
                cell.breaches = breaches(&row.name, &cell.example, &rounds, &known);
            }
        }
        let stale = known.iter().filter(|known| map.is_stale(known));
        let stale =
            stale.map(|known| format!("{} {} {}", known.fault, known.example, known.expectation));
        map.stale = stale.collect();
        Ok(map)
    }

    /// Whether the places of a known difference were measured, and none has it.
    fn is_stale(&self, known: &Known) -> bool {
        let own = self
            .cells()
            .filter(|(row, cell)| known.is_of(&row.name, &cell.example));
        let own: Vec<&FaultCell> = own.map(|(_, cell)| cell).collect();
        let mut breaches = own.iter().flat_map(|cell| &cell.breaches);
        !own.is_empty() && breaches.all(|breach| breach.expectation != known.expectation)
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = (&FaultRow, &FaultCell)> {
        let rows = self.faults.iter();
        rows.flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
    }

    /// Breaches without a known reason, as `fault example: breach`.
    pub fn unexpected(&self) -> Vec<String> {
        let told = self.cells().flat_map(|(row, cell)| {
            let breaches = cell.breaches.iter();
            let unknown = breaches.filter(|breach| breach.reason.is_none());
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::failures::page::failures_markdown;

    fn docs(name: &str) -> String {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        std::fs::read_to_string(docs.join(name)).expect(name)
    }

    fn published() -> FailureMap {
        serde_json::from_str(&docs("failures.json")).expect("a map")
    }

    #[test]
    fn the_json_is_as_its_schema_says() {
        let schema: serde_json::Value = serde_json::from_str(FAILURES_SCHEMA).expect("a schema");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let map: serde_json::Value = serde_json::from_str(&docs("failures.json")).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&map)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        assert_eq!(docs("failures.schema.json"), FAILURES_SCHEMA);
    }

    #[test]
    fn the_page_and_the_breaches_are_those_of_the_facts() {
        let published = published();
        let drawn = FailureMap::drawn(
            published.server.clone(),
            published.machine.clone(),
            published.faults.clone(),
        );
        let drawn = drawn.expect("a map");
        assert!(
            drawn.json() == docs("failures.json"),
            "run `cargo xtask failures --draw --write`"
        );
        assert!(
            failures_markdown(&drawn) == docs("failures.md"),
            "run `cargo xtask failures --draw --write`"
        );
    }

    #[test]
    fn every_difference_has_a_reason_and_none_is_ours() {
        let map = published();
        assert_eq!(map.unexpected(), [""; 0]);
        assert_eq!(map.stale, [""; 0]);
        for row in &map.faults {
            let own = row.cells.iter().find(|cell| cell.example == "rust");
            let own = own.expect("the Rust client");
            assert!(own.breaches.is_empty(), "{}: {:?}", row.name, own.breaches);
        }
    }

    #[test]
    fn a_known_difference_that_no_longer_occurs_is_stale() {
        let mut map = published();
        let is_known =
            |cell: &FaultCell| cell.breaches.iter().any(|breach| breach.reason.is_some());
        let known = map
            .faults
            .iter()
            .flat_map(|row| &row.cells)
            .filter(|cell| is_known(cell));
        assert!(known.count() > 0);
        for cell in map.faults.iter_mut().flat_map(|row| &mut row.cells) {
            cell.seen.clear();
        }
        let drawn = FailureMap::drawn(map.server, map.machine, map.faults).expect("a map");
        assert_eq!(drawn.stale.len(), Known::all().expect("known.toml").len());
    }

    #[test]
    fn rounds_that_are_alike_are_counted() {
        let mut cell = FaultCell {
            example: "py".to_owned(),
            seen: Vec::new(),
            breaches: Vec::new(),
        };
        let round = |exit: &str| Round {
            exit: exit.to_owned(),
            ..Round::default()
        };
        for (exit, seconds) in [("1", 1.0), ("0", 2.0), ("0", 3.0)] {
            cell.add(round(exit), seconds);
        }
        let told: Vec<(&str, &[f64])> = cell
            .seen
            .iter()
            .map(|seen| (seen.round.exit.as_str(), seen.seconds.as_slice()))
            .collect();
        assert_eq!(told, [("0", &[2.0, 3.0][..]), ("1", &[1.0][..])]);
        assert_eq!(cell.outcome(), "well / fails");
    }
}
