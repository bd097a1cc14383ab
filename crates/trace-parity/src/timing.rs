//! How long steps take, per example: for the client, for the server, and between them. Information, never a finding.

use crate::verdict::{Cell, Verdict};

/// One step's times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTiming {
    pub step: String,
    /// The times are those of one poll.
    pub per_poll: bool,
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
    /// Of the runs in which each call has its server span; `None` where there is no such run, and for `gap` too.
    pub server: Option<Spread>,
    /// What the client waits for besides the server's work: the network, the client's own stack.
    pub gap: Option<Spread>,
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
            let name = base_of(&example.name, |base| {
                verdict.examples.iter().any(|one| one.name == base)
            });
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
            per_poll: row.cells.iter().flatten().any(|cell| cell.polling),
            examples,
        }
    });
    rows.filter(|row| !row.examples.is_empty()).collect()
}

/// An example's name without the number of a repeat: `py` of `py-2`, where there is an example `py`.
#[must_use]
pub fn base_of(name: &str, is_example: impl Fn(&str) -> bool) -> &str {
    let repeated = name.rsplit_once('-').filter(|(base, number)| {
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && is_example(base)
    });
    repeated.map_or(name, |(base, _)| base)
}

fn example(example: String, cells: &[&Cell]) -> ExampleTiming {
    let each = |cells: &[&Cell], time: fn(&Cell) -> u64| {
        let per_poll = |cell: &&Cell| time(cell) / if cell.polling { cell.count.max(1) } else { 1 };
        spread(cells.iter().map(per_poll).collect())
    };
    let joined: Vec<&Cell> = cells
        .iter()
        .filter(|cell| cell.joined == cell.count)
        .copied()
        .collect();
    ExampleTiming {
        example,
        runs: cells.len() as u64,
        client: each(cells, |cell| cell.client_ns).unwrap_or_default(),
        server: each(&joined, |cell| cell.server_ns),
        gap: each(&joined, |cell| {
            cell.client_ns.saturating_sub(cell.server_ns)
        }),
        outlier: false,
    }
}

fn spread(mut times: Vec<u64>) -> Option<Spread> {
    times.sort_unstable();
    let (below, above) = (
        times.get((times.len().max(1) - 1) / 2)?,
        times[times.len() / 2],
    );
    Some(Spread {
        median: below.midpoint(above),
        worst: *times.last()?,
    })
}

fn mark_outliers(examples: &mut [ExampleTiming]) {
    let gaps: Vec<Option<u64>> = examples
        .iter()
        .map(|example| example.gap.map(|gap| gap.median))
        .collect();
    for (index, example) in examples.iter_mut().enumerate() {
        let Some(gap) = gaps[index] else { continue };
        let others = gaps.iter().enumerate();
        let others = others.filter(|(other, _)| *other != index);
        let others: Vec<u64> = others.filter_map(|(_, gap)| *gap).collect();
        example.outlier = others.len() > 1
            && spread(others).is_some_and(|usual| {
                gap > usual.median.saturating_mul(3)
                    && gap > usual.median.saturating_add(OUTLIER_NS)
            });
    }
}
