//! Where the time of calls goes: tables for a terminal, and JSON.

mod data;

use trace_breakdown::{
    Breakdown, By, CallTime, Change, Difference, Group, GroupStage, LoggedLine, Model, Reason,
    Segments, Side, StageId, changes, groups,
};

use crate::terminal::layout::Page;
use crate::terminal::style::{Detail, Role, TerminalStyle};
use crate::terminal::table::{self, TableRow};
use crate::words;

pub use data::{BREAKDOWN_SCHEMA, breakdown_changes_json, breakdown_json};

/// Reasons of one call that are told.
const REASONS_SHOWN: usize = 3;
/// Stages below this part of a group's time, in thousandths, are one line together.
const SMALL: u128 = 10;
/// Columns of an example's, a collection's or a span's name in a sentence.
const NAME: usize = 40;
/// Lines of logs of one call that are told unless all are asked for, and then.
const LINES_SHOWN: usize = 10;
const MOST_LINES: usize = 1_000;
/// Groups that are shown unless all are asked for.
const GROUPS_SHOWN: usize = 40;

/// The groups of calls, each with its stages and the reasons of its slowest call, as text whose lines are ended.
pub fn breakdown(
    breakdown: &Breakdown<'_>,
    by: By,
    only: Option<&str>,
    style: &TerminalStyle,
) -> String {
    let mut page = Page::new(*style);
    match by {
        By::Language => by_language(&mut page, breakdown, only),
        by => {
            let groups = groups(breakdown, by, only);
            let shown = match style.detail {
                Detail::Verbose => groups.len(),
                _ => GROUPS_SHOWN.min(groups.len()),
            };
            for group in &groups[..shown] {
                one_group(&mut page, breakdown, group);
            }
            if shown < groups.len() {
                page.gap();
                let left = words::plural(groups.len() - shown, "group");
                page.line(&[(
                    Role::Faint,
                    format!("and {left} more; `-v` shows all, `--step` chooses"),
                )]);
            }
        }
    }
    page.finish()
}

/// How operations changed from one input to another, as text whose lines are ended.
pub fn breakdown_changes<'t>(
    before: &Breakdown<'t>,
    after: &Breakdown<'t>,
    only: Option<&str>,
    style: &TerminalStyle,
) -> String {
    let mut page = Page::new(*style);
    for change in changes(before, after, only) {
        one_change(&mut page, &change);
    }
    page.finish()
}

fn one_group<'t>(page: &mut Page, breakdown: &Breakdown<'t>, group: &Group<'_, 't>) {
    let is_quiet = page.style.detail == Detail::Quiet;
    if !is_quiet {
        page.gap();
    }
    headline(page, group);
    if is_quiet {
        return;
    }
    let worst = group.worst();
    let is_one = group.calls.len() == 1;
    let columns: &[&str] = if is_one {
        &["share", "time", ""]
    } else {
        &["share", "median", "p95", "slowest", ""]
    };
    let row = |title: String, sum: u64, times: &[u64], kind: &str| TableRow {
        label: title,
        cells: std::iter::once(share(sum, group.sum_ns()))
            .chain(times.iter().map(|ns| words::nanoseconds(*ns)))
            .chain([kind.to_owned()])
            .map(|text| (Role::Plain, text))
            .collect(),
    };
    let times = |median: u64, p95: u64, worst: u64| match is_one {
        true => vec![worst],
        false => vec![median, p95, worst],
    };
    let (small, large): (Vec<&GroupStage>, Vec<&GroupStage>) = group
        .stages
        .iter()
        .partition(|stage| is_small(page, stage.sum_ns, group.sum_ns()));
    let mut rows: Vec<TableRow> = large
        .iter()
        .map(|stage| {
            let own = Model::builtin().stage(stage.stage);
            let mut kind = own.kind.name().to_owned();
            if stage.all_ns > stage.sum_ns + stage.sum_ns / 10 {
                let side_by_side = stage.all_ns as f64 / stage.sum_ns.max(1) as f64;
                kind += &format!(" x{side_by_side:.1}");
            }
            let times = times(stage.spread.median, stage.spread.p95, worst.ns(stage.stage));
            row(own.title.clone(), stage.sum_ns, &times, &kind)
        })
        .collect();
    if !small.is_empty() {
        let sum = small.iter().map(|stage| stage.sum_ns).sum();
        let of_worst: u64 = small.iter().map(|stage| worst.ns(stage.stage)).sum();
        let title = format!("{} more below 1%", words::plural(small.len(), "stage"));
        let cells = match is_one {
            true => vec![of_worst],
            false => Vec::new(),
        };
        let mut row = row(title, sum, &cells, "");
        if !is_one {
            let dash = || (Role::Faint, String::new());
            row.cells.splice(
                1..1,
                [dash(), dash(), (Role::Plain, words::nanoseconds(of_worst))],
            );
        }
        rows.push(row);
    }
    let unexplained = group.unexplained;
    let of = times(
        unexplained.spread.median,
        unexplained.spread.p95,
        worst.unexplained_ns,
    );
    rows.push(row("unexplained".to_owned(), unexplained.sum_ns, &of, ""));
    table::print(page, "stage", columns, &rows);
    notes(page, group);
    slowest(page, breakdown, group);
}

/// `search Search: 20 calls, median 4.07 ms, p95 9.80 ms, slowest 99.0 ms`
fn headline(page: &mut Page, group: &Group<'_, '_>) {
    let name = operation(group.step, group.method);
    let key = match group.key.as_str() {
        "" => String::new(),
        key => format!(" ({key})"),
    };
    let total = group.total;
    let times = match group.calls.len() {
        1 => words::nanoseconds(total.worst),
        count => format!(
            "{}, median {}, p95 {}, slowest {}",
            words::plural(count, "call"),
            words::nanoseconds(total.median),
            words::nanoseconds(total.p95),
            words::nanoseconds(total.worst)
        ),
    };
    page.paragraph("", "    ", &format!("{name}{key}: {times}"));
}

/// `Search`, or `GetLoadingProgress in step wait_loaded`.
fn operation(step: Option<&str>, method: &str) -> String {
    match step {
        Some(step) if !step.eq_ignore_ascii_case(method) => format!("{method} in step {step}"),
        _ => method.to_owned(),
    }
}

fn is_small(page: &Page, sum: u64, all: u64) -> bool {
    page.style.detail < Detail::Verbose && u128::from(sum) * 1_000 < u128::from(all) * SMALL
}

fn share(part: u64, all: u64) -> String {
    match all {
        0 => String::new(),
        all => format!("{:.1}%", part as f64 * 100.0 / all as f64),
    }
}

/// What makes the table's numbers less certain than they look.
fn notes(page: &mut Page, group: &Group<'_, '_>) {
    let count =
        |is: &dyn Fn(&CallTime<'_>) -> bool| group.calls.iter().filter(|time| is(time)).count();
    let merged = count(&|time| time.segments == Segments::Merged);
    let absent = count(&|time| time.segments == Segments::Absent);
    let moved = count(&|time| time.moved_ns != 0);
    let unanswered = count(&|time| time.call.server.is_none());
    let calls = |count: usize| match count == group.calls.len() {
        true if count == 1 => "this call".to_owned(),
        true => "all calls".to_owned(),
        false => words::plural(count, "call"),
    };
    let mut note = |count: usize, text: &str| {
        if count > 0 {
            page.paragraph("note: ", "      ", &format!("{}: {text}", calls(count)));
        }
    };
    note(
        merged,
        "no segment's span of its own: the query node searched it together with another call, in whose trace the segments are",
    );
    note(
        absent,
        "no span of the C++ core (`segcore`), which sends every 5 s: it didn't come, or no segment was searched. Queue and segments can't be told apart",
    );
    note(
        moved,
        "the clocks of client and server differ; the server's spans were moved to the middle of the call",
    );
    note(
        unanswered,
        "no server span, so its time is unexplained; `{program} compare` says why",
    );
    let read = group.calls.iter().find_map(|time| time.read);
    if let Some(versions) = read {
        let text =
            format!("some stages are by the sources of Milvus {versions}, and weren't measured");
        page.paragraph("note: ", "      ", &text);
    }
}

fn slowest<'t>(page: &mut Page, breakdown: &Breakdown<'t>, group: &Group<'_, 't>) {
    let worst = group.worst();
    let reasons = breakdown.reasons(worst);
    page.gap();
    let charset = page.style.charset();
    let clip = |text: &str| crate::escape::clipped(text, NAME, charset);
    let around = worst.program.map_or(String::new(), |program| {
        format!(
            ", and {} after it in `{}`",
            words::nanoseconds(program.after_ns),
            clip(program.span.name())
        )
    });
    let head = format!(
        "{}: {}, {}{around}, trace {}",
        if group.calls.len() == 1 {
            "the call"
        } else {
            "the slowest"
        },
        clip(breakdown.example(worst)),
        words::nanoseconds(worst.total_ns),
        worst.call.span.trace_id(),
    );
    page.paragraph("", "    ", &head);
    if let Some(elsewhere) = worst.elsewhere {
        let text = format!(
            "{}: `{}`, {}, begins {} after the call's start, in trace {}; found by its time",
            elsewhere.about,
            clip(elsewhere.span.name()),
            words::nanoseconds(elsewhere.span.duration_ns()),
            words::nanoseconds(elsewhere.after_ns),
            elsewhere.span.trace_id(),
        );
        page.paragraph("  elsewhere: ", "    ", &text);
    }
    if reasons.is_empty() {
        page.paragraph("  ", "  ", "no reason is known for it");
    }
    for reason in reasons.iter().take(REASONS_SHOWN) {
        one_reason(page, worst, reason);
    }
    logged(page, &breakdown.logged(worst));
    if group.calls.len() > 1 {
        let counts = breakdown.first_reasons(&group.calls).into_iter();
        let told = counts.map(|(name, count)| format!("{} {count}", name.unwrap_or("none")));
        let told: Vec<String> = told.collect();
        page.paragraph("first reasons of all calls: ", "    ", &told.join(", "));
    }
}

/// Lines of logs under the stages in which they were written.
fn logged(page: &mut Page, lines: &[LoggedLine<'_>]) {
    let most = match page.style.detail {
        Detail::Verbose => MOST_LINES,
        _ => LINES_SHOWN,
    };
    let shown = &lines[..most.min(lines.len())];
    for same in shown.chunk_by(|a, b| a.stage == b.stage) {
        let stage = title(same[0].stage);
        page.paragraph("  ", "    ", &format!("logged in `{stage}`"));
        for line in same {
            let at = words::nanoseconds(line.at_ns);
            let mut text = format!("+{at} {}", words::log_line(&line.line));
            if line.may_be_of_another {
                text += " (or in another call of the trace)";
            }
            page.paragraph("    ", "      ", &text);
        }
    }
    if shown.len() < lines.len() {
        let left = words::plural(lines.len() - shown.len(), "line");
        page.paragraph("  ", "    ", &format!("and {left} more; `-v` shows more"));
    }
}

fn one_reason(page: &mut Page, time: &CallTime<'_>, reason: &Reason) {
    let whole = time.total_ns + time.program.map_or(0, |program| program.after_ns);
    let guess = if reason.is_guess { " (a guess)" } else { "" };
    page.paragraph(
        "  ",
        "    ",
        &format!(
            "{}{guess}, {} of {}: {}",
            reason.name,
            words::nanoseconds(reason.ns),
            words::nanoseconds(whole),
            reason.says
        ),
    );
    for seen in &reason.evidence {
        page.paragraph("    seen: ", "      ", seen);
    }
    page.paragraph("    try: ", "      ", reason.advice);
    if page.style.detail == Detail::Verbose {
        page.paragraph("    source: ", "      ", reason.source);
    }
}

/// A table per operation with a column for each language, and by how much client and server differ.
fn by_language(page: &mut Page, breakdown: &Breakdown<'_>, only: Option<&str>) {
    let all = groups(breakdown, By::Language, only);
    let mut operations: Vec<(Option<&str>, &str)> = Vec::new();
    for group in &all {
        if !operations.contains(&(group.step, group.method)) {
            operations.push((group.step, group.method));
        }
    }
    for operation in operations {
        let same: Vec<&Group<'_, '_>> = all
            .iter()
            .filter(|group| (group.step, group.method) == operation)
            .collect();
        languages(page, operation, &same);
    }
}

fn languages(page: &mut Page, (step, method): (Option<&str>, &str), groups: &[&Group<'_, '_>]) {
    page.gap();
    let calls: usize = groups.iter().map(|group| group.calls.len()).sum();
    let name = operation(step, method);
    let head = format!("{name}: {}, medians", words::plural(calls, "call"));
    page.paragraph("", "    ", &head);
    let whole: u64 = groups.iter().map(|group| group.sum_ns()).sum();
    let shown: Vec<StageId> = Model::builtin()
        .stages()
        .map(|(id, _)| id)
        .filter(|id| {
            let own = groups.iter().flat_map(|group| &group.stages);
            let sum: u64 = own
                .filter(|stage| stage.stage == *id)
                .map(|stage| stage.sum_ns)
                .sum();
            sum > 0 && !is_small(page, sum, whole)
        })
        .collect();
    let row = |label: &str, ns: &dyn Fn(&CallTime<'_>) -> u64| TableRow {
        label: label.to_owned(),
        cells: groups
            .iter()
            .map(|group| (Role::Plain, words::nanoseconds(group.median(ns))))
            .collect(),
    };
    let mut rows: Vec<TableRow> = shown
        .iter()
        .map(|id| row(&Model::builtin().stage(*id).title, &|time| time.ns(*id)))
        .collect();
    for (side, label) in SIDES {
        rows.push(row(label, &|time| time.ns_on(Model::builtin(), side)));
    }
    rows.push(row("unexplained", &|time| time.unexplained_ns));
    rows.push(row("the call", &|time| time.total_ns));
    let columns: Vec<&str> = groups.iter().map(|group| group.key.as_str()).collect();
    table::print(page, "stage", &columns, &rows);
    if groups.len() > 1 {
        page.gap();
        for (side, label) in SIDES {
            let range = range(groups, &|time| time.ns_on(Model::builtin(), side));
            page.paragraph("", "    ", &format!("{label}: {range}"));
        }
    }
}

const SIDES: [(Side, &str); 3] = [
    (Side::Client, "all of the client"),
    (Side::Network, "all between"),
    (Side::Server, "all of the server"),
];

/// `26.0 ms (java) to 721 ms (py), 695 ms apart`
fn range(groups: &[&Group<'_, '_>], ns: &dyn Fn(&CallTime<'_>) -> u64) -> String {
    let medians: Vec<(u64, &str)> = groups
        .iter()
        .map(|group| (group.median(ns), group.key.as_str()))
        .collect();
    let of = |(median, _): &&(u64, &str)| *median;
    let (low, least) = medians.iter().min_by_key(of).expect("there are groups");
    let (high, most) = medians.iter().max_by_key(of).expect("there are groups");
    format!(
        "{} ({}) to {} ({}), {} apart",
        words::nanoseconds(*low),
        least,
        words::nanoseconds(*high),
        most,
        words::nanoseconds(high - low)
    )
}

fn one_change(page: &mut Page, change: &Change<'_>) {
    page.gap();
    let name = operation(change.step, change.method);
    let [before, after] = change.total;
    let head = format!(
        "{name}: {} ({} and {} calls), median {} before, {} after",
        difference(change.by),
        change.calls[0],
        change.calls[1],
        words::nanoseconds(before.median),
        words::nanoseconds(after.median),
    );
    page.paragraph("", "    ", &head);
    page.paragraph("  ", "  ", &culprit(change));
    if page.style.detail == Detail::Quiet {
        return;
    }
    let least = change.by.by.unsigned_abs() / 100;
    let is_shown =
        |by: Difference| page.style.detail == Detail::Verbose || by.by.unsigned_abs() > least;
    let rows: Vec<TableRow> = change
        .stages
        .iter()
        .filter(|stage| is_shown(stage.by))
        .map(|stage| TableRow {
            label: title(stage.stage),
            cells: vec![
                (Role::Plain, words::nanoseconds(stage.median[0])),
                (Role::Plain, words::nanoseconds(stage.median[1])),
                (Role::Plain, signed(stage.by.by)),
                (Role::Plain, interval(stage.by)),
            ],
        })
        .collect();
    table::print(
        page,
        "stage",
        &["before", "after", "change", "95% interval"],
        &rows,
    );
}

/// Which stage made the operation slower.
fn culprit(change: &Change<'_>) -> String {
    let first = change.stages.first().filter(|stage| stage.by.by > 0);
    match first {
        Some(stage) if change.by.by > 0 && stage.by.is_certain() => {
            format!(
                "slower by `{}`: {}",
                title(stage.stage),
                difference(stage.by)
            )
        }
        Some(stage) if change.by.by > 0 => format!(
            "most of it is in `{}`, {}; that may be chance: too few calls, or zero is in the interval",
            title(stage.stage),
            difference(stage.by)
        ),
        _ => "no stage made it slower".to_owned(),
    }
}

fn title(stage: Option<StageId>) -> String {
    stage.map_or("unexplained".to_owned(), |id| {
        Model::builtin().stage(id).title.clone()
    })
}

/// `+4.07 ms, 95% interval +3.90 ms to +4.20 ms`
fn difference(by: Difference) -> String {
    match interval(by) {
        none if none.is_empty() => signed(by.by),
        interval => format!("{}, 95% interval {interval}", signed(by.by)),
    }
}

fn interval(by: Difference) -> String {
    by.interval.map_or(String::new(), |(low, high)| {
        format!("{} to {}", signed(low), signed(high))
    })
}

fn signed(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "+" };
    format!("{sign}{}", words::nanoseconds(ns.unsigned_abs()))
}
