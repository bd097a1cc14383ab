//! One trace as a tree for a terminal.

use std::collections::BTreeMap;
use std::ops::Range;

use trace_parity::{Kind, LogLine, LogsBySpan, Span, SpanId, Status, Trace, WireTime};

use crate::escape::{self, Charset};
use crate::terminal::layout::Page;
use crate::terminal::style::{Detail, Role, TerminalStyle};
use crate::words;
use crate::wrap::wrap;

/// Spans that are printed unless all are asked for.
const ROWS: usize = 500;
/// Spans that are printed when all are asked for; a terminal is no place for more.
const MOST_ROWS: usize = 100_000;
/// So many equal siblings in a row are shown as one with their count.
const FOLDED_FROM: usize = 3;
/// Columns of a service's name, of a kind and of a time.
const SERVICE: usize = 16;
const KIND: usize = 8;
const TIME: usize = 8;
/// Up to this width there is no room for service and kind.
const NARROW: usize = 60;
/// From this width on, there is room for when each span began.
const WIDE: usize = 110;
/// Columns of a log record, over all its lines, and what its further lines begin with.
const LOG_TEXT: usize = 1_000;
const LOG_INDENT: &str = "  ";

/// The trace as text, each line ended: parents above children, in order of start, with service, kind and duration.
///
/// Equal siblings in a row, as polling makes them, are one line with their count, and the first one's children stand for
/// all; [`Detail::Verbose`] shows each. A span that failed is marked, and its message given.
pub fn tree(trace: &Trace<'_>, style: &TerminalStyle) -> String {
    tree_with(trace, None, &Beside::default(), style)
}

/// What is shown below spans.
#[derive(Debug, Default)]
pub struct Beside<'s> {
    /// What was logged while they were current.
    pub logs: LogsBySpan<'s>,
    /// When a witness saw them.
    pub wire: BTreeMap<SpanId, WireTime>,
}

/// The trace as [`tree`] shows it, or the part `under` one of its spans, with what stands beside each span below it, logs in order of time.
///
/// A line has the time since the trace began, the level, and who logged it: a server's line the place in its source, a program's the
/// logger. Text of several lines is put on one.
pub fn tree_with(
    trace: &Trace<'_>,
    under: Option<&Span<'_>>,
    beside: &Beside<'_>,
    style: &TerminalStyle,
) -> String {
    let mut spans = trace.tree();
    if let Some(top) = under {
        spans = subtree(spans, top);
    }
    let fold = style.detail < Detail::Verbose;
    let limit = if fold { ROWS } else { MOST_ROWS };
    let mut page = Page::new(*style);
    head(&mut page, trace, &spans);
    page.blank();

    let began = spans
        .iter()
        .map(|(_, span)| span.start_ns())
        .min()
        .unwrap_or(0);
    let columns = Columns::of(page.width(), &spans);
    let mut branches = Vec::new();
    let mut told = 0;
    for row in Rows::of(&spans, fold).take(limit) {
        branches.truncate(row.depth);
        branches.push(row.is_last);
        columns.print(&mut page, &row, &branches, began);
        let lead = below(
            &branches,
            columns.name / 2,
            style.ascii,
            row.span.children().len() > 0,
        );
        if let Some(wire) = beside.wire.get(&row.span.id()) {
            let text = format!("{lead}{}", on_the_wire(wire, style.ascii));
            page.line(&[(Role::Faint, text)]);
        }
        let lines = |span: &Span<'_>| beside.logs.get(&span.id()).map_or(&[][..], Vec::as_slice);
        for line in lines(&row.span) {
            log_line(&mut page, line, &lead, began);
        }
        let hidden = &spans[row.hidden.clone()];
        let hidden: usize = hidden.iter().map(|(_, span)| lines(span).len()).sum();
        if hidden > 0 {
            let text = format!(
                "{} in the other {}",
                words::plural(hidden, "line"),
                row.count - 1
            );
            page.line(&[(Role::Faint, format!("{lead}{text}"))]);
        }
        told += row.spans;
    }
    if told < spans.len() {
        let left = words::plural(spans.len() - told, "span");
        let way = if fold { "; `-v` shows more" } else { "" };
        page.line(&[(Role::Faint, format!("and {left} more{way}"))]);
    }
    page.finish()
}

/// The span and those below it.
fn subtree<'t>(spans: Vec<(usize, Span<'t>)>, top: &Span<'_>) -> Vec<(usize, Span<'t>)> {
    let mut behind = spans.into_iter().skip_while(|(_, span)| !span.is(top));
    let Some((depth, first)) = behind.next() else {
        return Vec::new();
    };
    let below = behind.take_while(|(other, _)| *other > depth);
    let below = below.map(|(other, span)| (other - depth, span));
    std::iter::once((0, first)).chain(below).collect()
}

fn head(page: &mut Page, trace: &Trace<'_>, spans: &[(usize, Span<'_>)]) {
    let all = || spans.iter().map(|(_, span)| span);
    let services = words::distinct(all().map(Span::service_name)).len();
    let began = all().map(Span::start_ns).min().unwrap_or(0);
    let ended = all().map(Span::end_ns).max().unwrap_or(0);
    let failed = all().filter(|span| span.status() == Status::Error).count();
    let mut parts = vec![
        words::plural(spans.len(), "span"),
        words::plural(services, "service"),
        words::nanoseconds(ended.saturating_sub(began)),
    ];
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    let rest = parts.join(page.style.separator());
    page.paragraph("trace ", "      ", &format!("{}  {rest}", trace.id()));
}

fn on_the_wire(wire: &WireTime, ascii: bool) -> String {
    let (after, took) = (
        words::nanoseconds(wire.after_ns),
        words::nanoseconds(wire.took_ns),
    );
    let times = match wire.sent {
        1 => String::new(),
        sent => format!(", sent {sent} times"),
    };
    let text = format!("+{after} on the wire for {took}{times}");
    if ascii { text.replace('µ', "u") } else { text }
}

fn log_line(page: &mut Page, line: &LogLine<'_>, lead: &str, began: u64) {
    let charset = page.style.charset();
    let role = match line.rank() {
        2 => Role::Bad,
        1 => Role::Warning,
        _ => Role::Faint,
    };
    let since = words::nanoseconds(line.time_ns.saturating_sub(began));
    let since = if page.style.ascii {
        since.replace('µ', "u")
    } else {
        since
    };
    let text = format!("+{since} {}", words::log_line(line));
    let room = page.width().saturating_sub(escape::columns(lead));
    let text = escape::clipped(&text, LOG_TEXT, charset);
    let lines = wrap(&text, [room, room.saturating_sub(LOG_INDENT.len())]);
    for (index, text) in lines.into_iter().enumerate() {
        let indent = if index == 0 { "" } else { LOG_INDENT };
        page.line(&[
            (Role::Faint, lead.to_owned()),
            (role, format!("{indent}{text}")),
        ]);
    }
}

/// A line: one span, or several equal siblings.
struct TreeRow<'t> {
    span: Span<'t>,
    depth: usize,
    /// No sibling comes after it.
    is_last: bool,
    /// Equal siblings in this line.
    count: usize,
    duration_ns: u64,
    /// The number of spans in this line: the siblings, and the descendants of all but the first.
    spans: usize,
    /// The places of the siblings but the first, and of their descendants.
    hidden: Range<usize>,
}

/// The lines of a trace, one after the other, without recursion.
struct Rows<'t, 'a> {
    spans: &'a [(usize, Span<'t>)],
    next_siblings: Vec<Option<usize>>,
    fold: bool,
    at: usize,
    /// The end of a folded line's first subtree and the continuation, the innermost last.
    jumps: Vec<(usize, usize)>,
}

impl<'t, 'a> Rows<'t, 'a> {
    fn of(spans: &'a [(usize, Span<'t>)], fold: bool) -> Self {
        Self {
            spans,
            next_siblings: next_siblings(spans),
            fold,
            at: 0,
            jumps: Vec::new(),
        }
    }

    /// The first and last of the equal siblings that begin here, and how many they are.
    fn run(&self, first: usize) -> (usize, usize) {
        if !self.fold {
            return (first, 1);
        }
        let (mut last, mut count) = (first, 1);
        while let Some(next) =
            self.next_siblings[last].filter(|next| alike(self.spans[first].1, self.spans[*next].1))
        {
            (last, count) = (next, count + 1);
        }
        if count >= FOLDED_FROM {
            (last, count)
        } else {
            (first, 1)
        }
    }

    /// The first span after `index` that isn't below it.
    fn end(&self, index: usize) -> usize {
        let depth = self.spans[index].0;
        let after = self.spans[index + 1..]
            .iter()
            .position(|(other, _)| *other <= depth);
        after.map_or(self.spans.len(), |distance| index + 1 + distance)
    }
}

impl<'t> Iterator for Rows<'t, '_> {
    type Item = TreeRow<'t>;

    fn next(&mut self) -> Option<TreeRow<'t>> {
        while let Some((_, to)) = self.jumps.pop_if(|(from, _)| *from == self.at) {
            self.at = to;
        }
        let first = self.at;
        let (depth, span) = *self.spans.get(first)?;
        let (last, count) = self.run(first);
        let mut row = TreeRow {
            span,
            depth,
            is_last: self.next_siblings[last].is_none(),
            count,
            duration_ns: span.duration_ns(),
            spans: 1,
            hidden: 0..0,
        };
        if count > 1 {
            let (own_end, end) = (self.end(first), self.end(last));
            let siblings = self.spans[first..end]
                .iter()
                .filter(|(other, _)| *other == depth);
            row.duration_ns = siblings
                .map(|(_, span)| span.duration_ns())
                .fold(0, u64::saturating_add);
            row.spans += end - own_end;
            row.hidden = own_end..end;
            self.jumps.push((own_end, end));
        }
        self.at += 1;
        Some(row)
    }
}

fn next_siblings(spans: &[(usize, Span<'_>)]) -> Vec<Option<usize>> {
    let mut next = vec![None; spans.len()];
    // By depth, the nearest span from here on, as long as nothing shallower stands between.
    let mut nearest: Vec<Option<usize>> = Vec::new();
    for (index, (depth, _)) in spans.iter().enumerate().rev() {
        nearest.truncate(depth + 1);
        nearest.resize(depth + 1, None);
        next[index] = nearest[*depth].replace(index);
    }
    next
}

fn alike(a: Span<'_>, b: Span<'_>) -> bool {
    let fine = |span: Span<'_>| span.status() != Status::Error && !is_orphan(span);
    a.name() == b.name()
        && a.kind() == b.kind()
        && a.service_name() == b.service_name()
        && fine(a)
        && fine(b)
}

/// It names a parent that the trace doesn't have.
fn is_orphan(span: Span<'_>) -> bool {
    span.parent_id().is_some() && span.parent().is_none()
}

/// How the width is shared out.
struct Columns {
    name: usize,
    /// `None` where neither service nor kind is shown.
    service: Option<usize>,
    offset: bool,
}

impl Columns {
    fn of(width: usize, spans: &[(usize, Span<'_>)]) -> Self {
        let services = words::distinct(spans.iter().filter_map(|(_, span)| span.service_name()));
        let widest = services
            .iter()
            .map(|name| escape::columns(&escape::clipped(name, SERVICE, Charset::Unicode)))
            .max();
        let service = (width >= NARROW).then(|| widest.unwrap_or(0));
        let offset = width >= WIDE;
        let times = if offset { 2 * (TIME + 2) } else { TIME + 2 };
        let name = width - times - service.map_or(0, |service| service + KIND + 4);
        Self {
            name,
            service,
            offset,
        }
    }

    fn print(&self, page: &mut Page, row: &TreeRow<'_>, branches: &[bool], began: u64) {
        let TerminalStyle { ascii, .. } = page.style;
        let charset = page.style.charset();
        let failed = row.span.status() == Status::Error;
        let (mark, role) = if failed {
            ("! ", Role::Bad)
        } else {
            ("", Role::Plain)
        };
        let lead = lead(branches, self.name / 2, ascii);
        let times = if ascii { "x" } else { "×" };
        let count = if row.count > 1 {
            format!(" {times}{}", row.count)
        } else {
            String::new()
        };
        let taken = escape::columns(&lead) + mark.len() + escape::columns(&count);
        let name =
            escape::clipped_inside(row.span.name(), self.name.saturating_sub(taken), charset);
        let taken = taken + escape::columns(&name);

        let mut rest = " ".repeat(self.name.saturating_sub(taken));
        if let Some(columns) = self.service {
            let service = escape::clipped(row.span.service_name().unwrap_or(""), columns, charset);
            let padding = " ".repeat(columns - escape::columns(&service));
            rest.push_str(&format!("  {service}{padding}  {:KIND$}", kind(row.span)));
        }
        for time in self.times(row, began, ascii) {
            rest.push_str(&format!("  {time:>TIME$}"));
        }
        page.line(&[
            (Role::Faint, lead),
            (role, format!("{mark}{name}")),
            (Role::Known, count),
            (Role::Plain, rest),
        ]);
        self.notes(
            page,
            row.span,
            &below(
                branches,
                self.name / 2,
                ascii,
                row.span.children().len() > 0,
            ),
        );
    }

    fn times(&self, row: &TreeRow<'_>, began: u64, ascii: bool) -> Vec<String> {
        let offset = words::nanoseconds(row.span.start_ns().saturating_sub(began));
        let duration = words::nanoseconds(row.duration_ns);
        let times = if self.offset {
            vec![format!("+{offset}"), duration]
        } else {
            vec![duration]
        };
        times
            .into_iter()
            .map(|time| if ascii { time.replace('µ', "u") } else { time })
            .collect()
    }

    /// The findings of a span, under it.
    fn notes(&self, page: &mut Page, span: Span<'_>, lead: &str) {
        let mut note = |role: Role, text: &str| {
            let room = page.width().saturating_sub(escape::columns(lead));
            let text = escape::clipped(text, room, page.style.charset());
            page.line(&[(Role::Faint, lead.to_owned()), (role, text)]);
        };
        if span.status() == Status::Error && !span.status_message().is_empty() {
            note(Role::Bad, span.status_message());
        }
        if let Some(parent) = span.parent_id().filter(|_| is_orphan(span)) {
            note(
                Role::Warning,
                &format!("its parent {parent} is not in this trace"),
            );
        }
    }
}

fn kind(span: Span<'_>) -> &'static str {
    match span.kind() {
        Kind::Unspecified => "-",
        kind => kind.name(),
    }
}

/// The lines from parent to child before a name. `branches` says of the span and each one above it whether it is its
/// parent's last.
fn lead(branches: &[bool], columns: usize, ascii: bool) -> String {
    let Some((last, above)) = branches.split_last().filter(|(_, above)| !above.is_empty()) else {
        return String::new();
    };
    let corner = match (last, ascii) {
        (true, false) => "└ ",
        (false, false) => "├ ",
        (true, true) => "`-",
        (false, true) => "|-",
    };
    format!("{}{corner}", bars(above, columns, ascii))
}

/// The lines that go on past a note under a span.
fn below(branches: &[bool], columns: usize, ascii: bool, has_children: bool) -> String {
    let own = match (has_children, ascii) {
        (false, _) => "  ",
        (true, true) => "| ",
        (true, false) => "│ ",
    };
    format!("{}{own}", bars(branches, columns, ascii))
}

/// A bar for each ancestor that has more to come; deeper than `columns`, the depth as a number.
fn bars(branches: &[bool], columns: usize, ascii: bool) -> String {
    let above = branches.get(1..).unwrap_or_default();
    if above.len() * 2 > columns {
        return format!("({}) ", above.len());
    }
    let bar = if ascii { "| " } else { "│ " };
    above
        .iter()
        .map(|is_last| if *is_last { "  " } else { bar })
        .collect()
}
