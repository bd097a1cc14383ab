// Where a moment of a trace stands on the page: by step, so that one step is below the other in all traces, or by time.

/** Equal siblings in a row from which on they are one row. */
const FOLDED_FROM = 3;

/** What the ruler shows: `from` and `to` are shares of the whole. */
const view = { by: "step", from: 0, to: 1, logs: 0 };

class Scale {
  /** `shown` are the traces below one another: `{ trace, example }`. */
  constructor(shown) {
    this.longest = Math.max(1, ...shown.map(({ trace }) => trace.took));
    this.bounds = new Map(shown.map(({ trace, example }) => [trace, stepBounds(trace, example)]));
    const all = [...this.bounds.values()].filter(Boolean);
    this.hasSteps = all.length > 0;
    // A column for each step, as wide as its slowest needs, and a narrow one for the wait before the next.
    const columns = 2 * report.steps.length + 1;
    const most = Array.from({ length: columns }, (_, at) => Math.max(0, ...all.map((bounds) => bounds[at + 1] - bounds[at])));
    const weights = most.map((ns, at) => (ns === 0 ? 0 : at % 2 === 0 ? 0.15 : 1.3 + Math.sqrt(ns / 1e6) * 0.16));
    const sum = weights.reduce((a, b) => a + b, 0) || 1;
    let left = 0;
    this.columns = weights.map((weight, at) => {
      const column = { step: at % 2 === 1 ? (at - 1) / 2 : null, left, width: weight / sum, most: most[at] };
      left += column.width;
      return column;
    });
  }

  /** The share of the whole at which `ns` of the trace stands; an end belongs to the column before a bound, a start to that after. */
  at(trace, ns, isEnd = false) {
    const bounds = view.by === "step" && this.bounds.get(trace);
    if (!bounds) return ns / this.longest;
    let column = 0;
    while (column < this.columns.length - 1 && (isEnd ? ns > bounds[column + 1] : ns >= bounds[column + 1])) column++;
    const { left, width, most, step } = this.columns[column];
    const spent = ns - bounds[column];
    const all = step === null ? bounds[column + 1] - bounds[column] : most;
    return left + width * Math.min(1, Math.max(0, all > 0 ? spent / all : 0));
  }
}

/** Begin and end of each step in a trace, with the waits before, between and after; never going back. */
function stepBounds(trace, example) {
  if (example === null) return null;
  const bounds = [0];
  let last = 0;
  let any = false;
  for (const step of report.steps) {
    const clients = (step.cells[example]?.calls ?? [])
      .filter((call) => call.client && spans.traces[call.client[0]] === trace)
      .map((call) => call.client[1]);
    any ||= clients.length > 0;
    const begin = clients.length > 0 ? Math.min(...clients.map((span) => trace.starts[span])) : last;
    const end = clients.length > 0 ? Math.max(...clients.map((span) => trace.end(span))) : last;
    bounds.push(Math.max(last, begin));
    last = Math.max(last, begin, end);
    bounds.push(last);
  }
  bounds.push(Math.max(last, trace.took));
  return any ? bounds : null;
}

const onScreen = (share) => (share - view.from) / (view.to - view.from);

function zoom(factor, around = 0.5) {
  const span = Math.min(1, Math.max(1e-6, (view.to - view.from) * factor));
  const middle = view.from + (view.to - view.from) * around;
  show(middle - span * around, middle - span * around + span);
}

function show(from, to) {
  const span = Math.min(1, to - from);
  view.from = Math.min(1 - span, Math.max(0, from));
  view.to = view.from + span;
  waterfalls.redraw();
}
