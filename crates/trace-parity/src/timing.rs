//! How long steps take, per example: for the client, for the server, and between them. Information, never a finding.

use crate::verdict::{Cell, Verdict};

/// One step's times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTiming {
    pub step: String,
    /// One per example that has the step, repeats (`py`, `py-2`) taken together.
    pub examples: Vec<ExampleTiming>,
}

/// Times of one step in one example, in nanoseconds; of a polling step, per poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleTiming {
    pub example: String,
    /// How many runs these are from.
    pub runs: u64,
    pub client: Spread,
    pub server: Spread,
    /// What the client waits for besides the server's work: the network, the client's own stack.
    pub gap: Spread,
    /// Its median gap is over three times the median of the others', and over five milliseconds more.
    pub outlier: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub median: u64,
    pub worst: u64,
}

const OUTLIER_NS: u64 = 5_000_000;

/// The times of every step that some example has.
#[must_use]
pub fn timing(verdict: &Verdict) -> Vec<StepTiming> {
    let rows = verdict.steps.iter().map(|row| {
        let mut groups: Vec<(String, Vec<&Cell>)> = Vec::new();
        for (example, cell) in verdict.examples.iter().zip(&row.cells) {
            let Some(cell) = cell else { continue };
            let name = base(&example.name, verdict);
            match groups.iter_mut().find(|(known, _)| known == name) {
                Some((_, cells)) => cells.push(cell),
                None => groups.push((name.to_owned(), vec![cell])),
            }
        }
        let mut examples: Vec<ExampleTiming> = groups
            .into_iter()
            .map(|(name, cells)| example(name, &cells))
            .collect();
        mark_outliers(&mut examples);
        StepTiming {
            step: row.name.clone(),
            examples,
        }
    });
    rows.filter(|row| !row.examples.is_empty()).collect()
}

/// The example that a repeat repeats.
fn base<'n>(name: &'n str, verdict: &Verdict) -> &'n str {
    let repeated = name.rsplit_once('-').filter(|(base, number)| {
        !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
            && verdict.examples.iter().any(|e| e.name == *base)
    });
    repeated.map_or(name, |(base, _)| base)
}

fn example(example: String, cells: &[&Cell]) -> ExampleTiming {
    let each = |time: fn(&Cell) -> u64| {
        spread(
            cells
                .iter()
                .map(|cell| time(cell) / if cell.polling { cell.count.max(1) } else { 1 })
                .collect(),
        )
    };
    ExampleTiming {
        example,
        runs: cells.len() as u64,
        client: each(|cell| cell.client_ns),
        server: each(|cell| cell.server_ns),
        gap: each(|cell| cell.client_ns.saturating_sub(cell.server_ns)),
        outlier: false,
    }
}

fn spread(mut times: Vec<u64>) -> Spread {
    times.sort_unstable();
    Spread {
        median: times.get(times.len() / 2).copied().unwrap_or_default(),
        worst: times.last().copied().unwrap_or_default(),
    }
}

fn mark_outliers(examples: &mut [ExampleTiming]) {
    let gaps: Vec<u64> = examples.iter().map(|example| example.gap.median).collect();
    for (index, example) in examples.iter_mut().enumerate() {
        let others: Vec<u64> = gaps
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, gap)| *gap)
            .collect();
        let usual = spread(others).median;
        example.outlier = gaps.len() > 2
            && example.gap.median > usual.saturating_mul(3)
            && example.gap.median > usual.saturating_add(OUTLIER_NS);
    }
}
