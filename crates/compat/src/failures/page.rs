//! The failures map as a documentation page.

use trace_report::escape;

use super::expect::Expectation;
use super::facts::{CallSpan, Round};
use super::table::{FailureMap, FaultCell, FaultRow};
use crate::map::{first_and_last_day, on_days};

/// Enough for a sentence, not for a log.
const CELL: usize = 300;

/// `docs/failures.md`: all at a glance, then a table for each fault.
pub fn failures_markdown(map: &FailureMap) -> String {
    let mut text = head(map);
    text += &glance(map);
    text += &known(map);
    for row in &map.faults {
        text += &section(row);
    }
    text
}

fn head(map: &FailureMap) -> String {
    let days = on_days(first_and_last_day(
        map.faults.iter().map(|row| row.measured.as_str()),
    ));
    let mut text = format!(
        "<!-- Made by `cargo xtask failures --write`. -->\n\
         # What each language makes of a failure\n\n\
         Each example ran with unchanged code against {}, through a [witness](../crates/grpc-witness/README.md#faults) that plays one fault on it.\n\
         The witness recorded what was on the wire, the capture the spans, the run the exit code and the time. Measured {days} on {},\n\
         {} cores. `cargo xtask failures` measures again, and `run-all --fault NAME` or `exec --fault NAME` plays a fault once; for\n\
         `wrong-token` and `rate-limit`, the server's settings are the cause.\n\
         [failures.json](failures.json) ([schema](failures.schema.json)) has the same data for programs.\n\n\
         {} failures, {} examples under each, {} rounds; {} of {} cells were alike in all their rounds.\n\n\
         | expectation | what has to hold |\n|---|---|\n",
        inline(&map.server),
        inline(&map.machine.system),
        map.machine.cores,
        map.faults.len(),
        map.faults
            .iter()
            .map(|row| row.cells.len())
            .max()
            .unwrap_or(0),
        map.cells().map(|(_, cell)| count(cell)).sum::<usize>(),
        map.cells().filter(|(_, cell)| cell.seen.len() == 1).count(),
        map.cells().count(),
    );
    for expectation in Expectation::ALL {
        text += &format!("| {expectation} | {} |\n", expectation.about());
    }
    text
}

fn count(cell: &FaultCell) -> usize {
    cell.seen.iter().map(|seen| seen.seconds.len()).sum()
}

/// The examples in the order of the fullest row.
fn examples(map: &FailureMap) -> Vec<&str> {
    let fullest = map.faults.iter().max_by_key(|row| row.cells.len());
    let cells = fullest.map_or(&[][..], |row| row.cells.as_slice());
    cells.iter().map(|cell| cell.example.as_str()).collect()
}

fn glance(map: &FailureMap) -> String {
    let examples = examples(map);
    let mut text = "\n## At a glance\n\nThe program is *well*, or fails with the status of its last attempt. A cell in bold breaks an expectation.\n\n".to_owned();
    text += &format!(
        "| fault | {} |\n|---|{}\n",
        examples.join(" | "),
        "---|".repeat(examples.len())
    );
    for row in &map.faults {
        let told = examples.iter().map(|example| {
            let cell = row.cells.iter().find(|cell| cell.example == *example);
            let Some(cell) = cell else {
                return String::new();
            };
            let outcome = inline(&cell.outcome());
            match cell.breaches.is_empty() {
                true => outcome,
                false => format!("**{outcome}**"),
            }
        });
        let told: Vec<String> = told.collect();
        text += &format!("| [{0}](#{0}) | {1} |\n", row.name, told.join(" | "));
    }
    text
}

fn known(map: &FailureMap) -> String {
    let breaches: Vec<_> = map
        .cells()
        .flat_map(|(row, cell)| cell.breaches.iter().map(move |breach| (row, cell, breach)))
        .collect();
    let mut reasons: Vec<&str> = breaches
        .iter()
        .filter_map(|(.., breach)| breach.reason.as_deref())
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    let mut text = "\n## Known differences\n\n".to_owned();
    for reason in reasons {
        let own = breaches
            .iter()
            .filter(|(.., breach)| breach.reason.as_deref() == Some(reason));
        let mut places: Vec<String> = own
            .map(|(row, cell, breach)| {
                format!("{} {} ({})", cell.example, row.name, breach.expectation)
            })
            .collect();
        places.dedup();
        text += &format!("- {}. *{}.*\n", inline(reason), inline(&places.join(", ")));
    }
    let unknown = map.unexpected();
    if !unknown.is_empty() {
        text += "\nWithout a known reason:\n\n";
        for one in unknown {
            text += &format!("- {}\n", inline(&one));
        }
    }
    text
}

fn section(row: &FaultRow) -> String {
    let mut text = format!(
        "\n## {}\n\n{}\n\n\
         | example | on the wire | spans | description | exception event | `error.type` | server's spans | root | trace id | exit | seconds | breaks |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
        row.name,
        inline(&row.about)
    );
    for cell in &row.cells {
        for (index, seen) in cell.seen.iter().enumerate() {
            let round = &seen.round;
            let name = match cell.seen.len() {
                1 => cell.example.clone(),
                _ => format!(
                    "{} ({} of {})",
                    cell.example,
                    seen.seconds.len(),
                    count(cell)
                ),
            };
            let breaches = cell.breaches.iter().filter(|_| index == 0);
            let breaches: Vec<String> = breaches
                .map(|breach| format!("{}: {}", breach.expectation, breach.message))
                .collect();
            let columns = [
                name,
                wire(round),
                each(round, |span| format!("{} {}", span.status, codes(span))),
                each(round, |span| span.description.clone()),
                each(round, |span| yes(span.has_exception)),
                each(round, |span| span.error_type.clone().unwrap_or_default()),
                each(round, servers),
                root(round),
                yes(round.prints_trace_id),
                round.exit.clone(),
                seconds(&seen.seconds),
                breaches.join("; "),
            ];
            let columns = columns.map(|text| inline(&text));
            text += &format!("| {} |\n", columns.join(" | "));
        }
    }
    text
}

/// The attempts, alike ones in a row counted.
fn wire(round: &Round) -> String {
    let endings = round.attempts.iter().map(|attempt| attempt.ending.clone());
    runs(endings)
}

/// A fact of each span, alike ones in a row counted.
fn each(round: &Round, fact: impl Fn(&CallSpan) -> String) -> String {
    if round.spans.is_empty() {
        return "no span".to_owned();
    }
    runs(round.spans.iter().map(fact))
}

fn runs(texts: impl Iterator<Item = String>) -> String {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for text in texts {
        match runs.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => runs.push((text, 1)),
        }
    }
    if runs.iter().all(|(text, _)| text.is_empty()) {
        return String::new();
    }
    let told = runs.into_iter().map(|(text, count)| {
        let text = if text.is_empty() {
            "-".to_owned()
        } else {
            text
        };
        match count {
            1 => text,
            count => format!("{count} × {text}"),
        }
    });
    told.collect::<Vec<_>>().join(", ")
}

fn codes(span: &CallSpan) -> String {
    let codes: Vec<&str> = span.codes.values().map(String::as_str).collect();
    match codes.is_empty() {
        true => "no code".to_owned(),
        false => codes.join(" and "),
    }
}

fn servers(span: &CallSpan) -> String {
    match span.servers.is_empty() {
        true => "none".to_owned(),
        false => span.servers.join(" and "),
    }
}

fn root(round: &Round) -> String {
    match (round.root_is_error, round.root_has_exception) {
        (None, _) => "none".to_owned(),
        (Some(true), true) => "ERROR, exception".to_owned(),
        (Some(true), false) => "ERROR".to_owned(),
        (Some(false), true) => "not ERROR, exception".to_owned(),
        (Some(false), false) => "not ERROR".to_owned(),
    }
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

fn seconds(times: &[f64]) -> String {
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let most = times.iter().copied().fold(0.0, f64::max);
    match times.len() {
        0 | 1 => format!("{most:.1}"),
        _ => format!("{least:.1}–{most:.1}"),
    }
}

fn inline(text: &str) -> String {
    escape::markdown(text, CELL)
}
