// The traces, one below the other: a row per span. Only the rows on the screen are drawn.

const KIND_SIGNS = { client: "→", server: "←", producer: "⇥", consumer: "⇤", internal: "·", "": "·" };
const OVERSCAN = 8;
/** The looks of a log line: of a failure, of a warning, of anything else. */
const RANKS = ["soft", "warn", "bad"];

/** Every waterfall on the page, and what they share. */
const waterfalls = {
  all: [],
  scale: null,
  ruler: null,
  /** Shows the chosen span. */
  sheet: el("div", { class: "sheet" }),
  redraw: once(() => {
    drawRuler();
    waterfalls.all.forEach((waterfall) => waterfall.draw());
    remember();
  }),
};

class Waterfall {
  constructor(trace, example, title) {
    this.trace = trace;
    this.example = example;
    this.folded = new Set();
    this.unfoldedRuns = new Set();
    this.matches = null;
    this.current = -1;
    this.foldServers();
    this.rows = this.visibleRows();
    this.build(title);
  }

  /** Folds the server's work below each call. */
  foldServers() {
    const { trace } = this;
    this.folded = new Set(trace.answers.keys());
    if (trace.answers.size === 0 && trace.length > 400) {
      for (let i = 0; i < trace.length; i++) if (trace.depths[i] > 0 && trace.hasChildren(i)) this.folded.add(i);
    }
    this.unfoldedRuns = new Set();
  }

  /** The rows in order: a span, a run of equal siblings, or the server spans that are in other traces. */
  visibleRows() {
    const { trace } = this;
    const rows = [];
    let i = 0;
    const jumps = [];
    while (i < trace.length) {
      while (jumps.length > 0 && jumps.at(-1).at === i) i = jumps.pop().to;
      if (i >= trace.length) break;
      const run = this.run(i);
      const folded = run.length > 1 && !this.unfoldedRuns.has(i);
      rows.push({ span: i, run: run.length > 1 ? run : null, folded });
      const lost = (folded ? run : [i]).filter((one) => this.isLost(one));
      if (lost.length > 0) rows.push({ span: lost[0], elsewhere: trace.calls.get(lost[0]).elsewhere, lost });
      if (folded) i = trace.ends[run.at(-1)];
      else if (this.folded.has(i)) i = trace.ends[i];
      else i += 1;
    }
    return rows;
  }

  /** Its server span is in another trace. */
  isLost(i) {
    const call = this.trace.calls.get(i);
    return call?.elsewhere && !call.server;
  }

  /** The equal siblings that begin here; this one alone where they are few or another run has it. */
  run(first) {
    const { trace } = this;
    const before = this.runs?.get(first);
    if (before) return before;
    this.runs ??= new Map();
    if (this.inRun?.has(first)) return [first];
    const run = [first];
    for (let next = trace.nextSibling(first); next >= 0 && trace.alike(first, next); next = trace.nextSibling(next)) run.push(next);
    const found = run.length >= FOLDED_FROM ? run : [first];
    this.inRun ??= new Set();
    if (found.length > 1) found.slice(1).forEach((span) => this.inRun.add(span));
    this.runs.set(first, found);
    return found;
  }

  /** The log lines of the spans that a row stands for, each with its span. */
  logsOf(row) {
    const { trace } = this;
    const shown = (one) => (row.folded || this.folded.has(one) ? trace.ends[one] : one + 1);
    const all = (row.folded ? row.run : [row.span]).flatMap((one) => trace.logsBetween(one, shown(one)));
    return all.filter((line) => line.rank >= view.logs);
  }

  build(title) {
    const { trace } = this;
    const label = `trace of ${title}`;
    this.all = el("div", { class: "all", role: "presentation" });
    this.lines = el("div", { class: "lines", "aria-hidden": "true" });
    this.list = el("div", {
      class: "rows", role: "tree", tabindex: "0", "aria-label": label,
      onscroll: once(() => this.draw()),
      onkeydown: (event) => this.key(event),
      onclick: (event) => this.click(event),
    }, this.all);
    const hidden = trace.total - trace.length;
    this.opener = el("button", { type: "button", class: "opener", "aria-expanded": "true", onclick: () => this.setClosed(!this.closed) },
      el("span", { class: "caret", "aria-hidden": "true" }, "▼"), name(title));
    const outcome = this.example !== null && OUTCOMES[report.examples[this.example].outcome];
    this.element = el("article", { class: "trace", "aria-label": label },
      el("header", {},
        el("h3", {}, this.opener),
        outcome && tag(...outcome),
        el("span", { class: "soft" }, `${plural(trace.total, "span")} · ${duration(trace.took)}`),
        el("span", { class: "mono" }, trace.id),
        el("div", { class: "push" },
          el("button", { type: "button", onclick: () => this.unfoldAll() }, "unfold"),
          el("button", { type: "button", onclick: () => this.foldAll() }, "fold"))),
      hidden > 0 && el("p", { class: "note" },
        `Shown in part: ${trace.length.toLocaleString("en")} of ${trace.total.toLocaleString("en")} spans, the outermost. `,
        "The raw spans in this page are whole."),
      this.list);
  }

  /** Closed, only the header is left. */
  setClosed(closed) {
    this.closed = closed;
    this.element.classList.toggle("closed", closed);
    this.opener.setAttribute("aria-expanded", String(!closed));
    this.opener.firstChild.textContent = closed ? "▶" : "▼";
    if (!closed) this.draw();
  }

  unfoldAll() {
    this.setClosed(false);
    this.folded = new Set();
    this.unfoldedRuns = new Set((this.runs ?? new Map()).keys());
    this.refresh();
    // Runs within runs are only known once the outer ones are open.
    this.unfoldedRuns = new Set(this.runs.keys());
    this.refresh();
  }

  foldAll() {
    this.foldServers();
    this.refresh();
  }

  refresh() {
    this.rows = this.visibleRows();
    this.draw();
  }

  get rowHeight() { return waterfalls.rowHeight; }

  draw() {
    const { list, rows, rowHeight } = this;
    this.all.style.height = `${rows.length * rowHeight}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - OVERSCAN);
    const last = Math.min(rows.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + OVERSCAN);
    const drawn = [];
    for (let at = first; at < last; at++) drawn.push(this.row(at));
    this.drawLines();
    this.all.replaceChildren(this.lines, ...drawn);
    const current = this.rows.findIndex((row) => row.span === this.current && !row.elsewhere);
    if (current >= first && current < last) list.setAttribute("aria-activedescendant", this.rowId(current));
    else list.removeAttribute("aria-activedescendant");
  }

  drawLines() {
    const { scale } = waterfalls;
    if (view.by !== "step" || !scale.bounds.get(this.trace)) return this.lines.replaceChildren();
    const marks = scale.columns.filter((column) => column.width > 0).map((column) => {
      const left = onScreen(column.left);
      if (column.step !== null) return el("i", { style: { left: percent(left) } });
      return el("i", { class: "gap", style: { left: percent(left), width: percent(onScreen(column.left + column.width) - left) } });
    });
    this.lines.replaceChildren(...marks);
  }

  rowId(at) { return `row-${this.trace.index}-${at}`; }

  row(at) {
    const { trace } = this;
    const { span, run, folded, elsewhere, lost } = this.rows[at];
    if (elsewhere) return this.elsewhereRow(at, span, lost);
    const opens = run ? true : trace.hasChildren(span);
    const open = run && folded ? false : !this.folded.has(span);
    const took = run && folded ? run.reduce((sum, one) => sum + trace.durations[one], 0) : trace.durations[span];
    const full = trace.name(span);
    const cut = full.lastIndexOf("/") + 1;
    const classes = ["span", span === this.current && "current", this.matches?.has(span) && "match"].filter(Boolean).join(" ");
    const hidden = trace.hidden[span];
    const logs = this.logsOf(this.rows[at]);
    const worst = Math.max(...logs.map(({ rank }) => rank));
    return el("div", {
      class: classes, role: "treeitem", id: this.rowId(at), "data-at": at, style: { top: `${at * this.rowHeight}px` },
      "aria-level": trace.depths[span] + 1, "aria-expanded": opens ? String(open) : undefined,
      "aria-selected": span === this.current ? "true" : "false",
    },
    el("div", { class: "title", "data-took": duration(took), style: { "padding-left": `${10 + Math.min(trace.depths[span], 24) * 12}px` } },
      el("span", { class: "caret", "aria-hidden": "true" }, opens ? (open ? "▼" : "▶") : ""),
      trace.failed(span) && el("span", { class: "bad" }, "✕", el("span", { class: "visually-hidden" }, "failed")),
      el("span", { class: "name", title: full },
        el("span", { class: "soft", "aria-hidden": "true" }, `${KIND_SIGNS[trace.kinds[span]] ?? "·"} `),
        cut > 0 && el("bdi", { class: "head" }, full.slice(0, cut)), el("bdi", { class: "tail" }, full.slice(cut))),
      run && folded && el("span", { class: "times" }, `×${run.length}`),
      hidden && el("span", { class: "times" }, `+${hidden.toLocaleString("en")} not shown`),
      trace.missing_parents[span] && el("span", { class: "bad" }, "no parent"),
      logs.length > 0 && el("span", { class: `times ${RANKS[worst]}` }, plural(logs.length, "log"))),
    el("div", { class: "line" }, this.bars(span, run && folded ? run : [span], took), this.logMarks(logs)));
  }

  /** A mark for each line at its time; of lines at one place, the worst. */
  logMarks(logs) {
    const marks = new Map();
    for (const { at, rank } of logs) {
      const place = Math.round(this.start(at) * 1000);
      if (place >= 0 && place <= 1000) marks.set(place, Math.max(rank, marks.get(place) ?? 0));
    }
    return [...marks].map(([place, rank]) => el("i", { class: `logged ${RANKS[rank]}`, style: { left: percent(place / 1000) } }));
  }

  /** The server spans that belong below the call, or below each of a folded run. */
  elsewhereRow(at, span, lost) {
    const answers = lost.map((one) => this.trace.calls.get(one).elsewhere);
    const [there, server] = [spans.traces[answers[0][0]], answers[0][1]];
    const took = answers.reduce((sum, [other, one]) => sum + spans.traces[other].durations[one], 0);
    const where = lost.length > 1 ? "in other traces: " : "in another trace: ";
    return el("div", {
      class: "span astray", role: "treeitem", id: this.rowId(at), "data-at": at, style: { top: `${at * this.rowHeight}px` },
      "aria-level": this.trace.depths[span] + 2, "aria-selected": "false",
    },
    el("div", { class: "title", "data-took": duration(took), style: { "padding-left": `${28 + Math.min(this.trace.depths[span] + 1, 24) * 12}px` } },
      el("span", { class: "bad" }, "✕"),
      el("span", { class: "name", title: `${there.name(server)}, in trace ${there.id}` }, where, name(shortName(there.name(server)))),
      lost.length > 1 && el("span", { class: "times bad" }, `×${lost.length}`)),
    el("div", { class: "line" }, answers.slice(0, 400).map((answer) => this.astrayBar(answer))));
  }

  astrayBar([other, server]) {
    const there = spans.traces[other];
    const from = Number(there.began - this.trace.began) + there.starts[server];
    return bar("astray", this.start(from), this.end(from + there.durations[server]));
  }

  start(ns) { return onScreen(waterfalls.scale.at(this.trace, ns)); }
  end(ns) { return onScreen(waterfalls.scale.at(this.trace, ns, true)); }

  bars(span, group, took) {
    const { trace } = this;
    const drawn = group.length > 400 ? group.filter((_, at) => at % Math.ceil(group.length / 400) === 0) : group;
    const bars = drawn.flatMap((one) => this.bar(one, group.length > 1));
    const end = Math.max(...drawn.map((one) => this.end(trace.end(one))));
    const begin = Math.min(...drawn.map((one) => this.start(trace.starts[one])));
    const inside = Math.min(1, end);
    if (end < 0 || begin > 1) {
      bars.push(el("span", { class: "took", "aria-hidden": "true", style: end < 0 ? { left: 0 } : { right: 0 } }, end < 0 ? "◂" : "▸"));
    } else {
      const right = inside > 0.86;
      bars.push(el("span", { class: "took", style: right ? { right: percent(1 - Math.max(0, begin)) } : { left: percent(inside) } }, duration(took)));
    }
    return bars;
  }

  bar(span, isPoll) {
    const { trace } = this;
    const from = this.start(trace.starts[span]);
    const to = this.end(trace.end(span));
    const failed = trace.failed(span) ? " failed" : "";
    const answer = trace.answers.get(span);
    if (answer !== undefined || trace.calls.has(span)) {
      const whole = bar(`client${isPoll ? " poll" : ""}${failed}`, from, to);
      const [after, took] = trace.calls.get(span)?.wire ?? [];
      const sent = trace.starts[span] + after;
      const wire = took === undefined ? [] : [bar("wire", this.start(sent), Math.min(to, this.end(sent + took)))];
      if (answer === undefined) return [whole, ...wire];
      return [whole, ...wire, bar("server", Math.max(from, this.start(trace.starts[answer])), Math.min(to, this.end(trace.end(answer))))];
    }
    const root = trace.parents[span] < 0 && trace.hasChildren(span);
    const ours = this.example !== null && trace.services[span] === trace.services[0];
    const looks = root ? "root" : ours ? "call-alone" : trace.kinds[span] === "client" ? "internal-client" : "server";
    return [bar(`${looks}${failed}`, from, to)];
  }

  click(event) {
    const at = event.target.closest(".span")?.dataset.at;
    if (at === undefined) return;
    const row = this.rows[at];
    if (event.target.closest(".caret") || row.folded) return this.toggle(row);
    this.select(row);
  }

  select(row) {
    if (row.elsewhere) return go({ trace: spans.traces[row.elsewhere[0]].id, span: spans.traces[row.elsewhere[0]].ids[row.elsewhere[1]] });
    go({ trace: this.trace.id, span: this.trace.ids[row.span] });
  }

  toggle(row) {
    const { span, run } = row;
    if (run && row.folded) this.unfoldedRuns.add(span);
    else if (run && !this.trace.hasChildren(span)) this.unfoldedRuns.delete(span);
    else if (this.folded.has(span)) this.folded.delete(span);
    else if (this.trace.hasChildren(span)) this.folded.add(span);
    this.refresh();
  }

  key(event) {
    if (event.target !== this.list || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.rows.findIndex((row) => row.span === this.current && !row.elsewhere);
    const row = this.rows[at];
    const page = Math.max(1, Math.floor(this.list.clientHeight / this.rowHeight) - 1);
    const move = (to) => this.focusRow(Math.min(this.rows.length - 1, Math.max(0, to)));
    const isOpen = row && !row.folded && !this.folded.has(row.span) && this.trace.hasChildren(row.span);
    const actions = {
      ArrowDown: () => move(at + 1),
      ArrowUp: () => move(at < 0 ? 0 : at - 1),
      PageDown: () => move(at + page),
      PageUp: () => move(at - page),
      Home: () => move(0),
      End: () => move(this.rows.length - 1),
      ArrowRight: () => row && (isOpen ? move(at + 1) : this.toggle(row)),
      ArrowLeft: () => {
        if (!row) return;
        if (isOpen) return this.toggle(row);
        const parent = this.trace.parents[row.span];
        if (parent >= 0) move(this.rows.findIndex((other) => other.span === parent));
      },
      Enter: () => row && (row.folded ? this.toggle(row) : this.select(row)),
      " ": () => row && (row.folded ? this.toggle(row) : this.select(row)),
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(0, 1),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  focusRow(at) {
    let to = at;
    if (this.rows[to]?.elsewhere) to = Math.min(this.rows.length - 1, to + 1);
    if (!this.rows[to]) return;
    this.scrollTo(to);
    this.choose(this.rows[to].span);
  }

  /** Makes it the current span, of which there is one on the page. */
  choose(span) {
    for (const other of waterfalls.all) {
      if (other === this || other.current < 0) continue;
      other.current = -1;
      other.draw();
    }
    this.current = span;
    this.draw();
  }

  scrollTo(at) {
    const top = at * this.rowHeight;
    const { list } = this;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + this.rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + this.rowHeight - list.clientHeight;
  }

  /** Unfolds whatever hides the span. */
  reveal(span) {
    const { trace } = this;
    this.setClosed(false);
    for (let above = trace.parents[span]; above >= 0; above = trace.parents[above]) this.folded.delete(above);
    for (let tries = 0; tries < 64; tries++) {
      this.rows = this.visibleRows();
      const at = this.rows.findIndex((row) => row.span === span && !row.elsewhere && !(row.folded && row.run[0] !== span));
      if (at >= 0) {
        this.scrollTo(at);
        this.choose(span);
        return true;
      }
      const hiding = this.rows.find((row) => row.folded && row.run.some((one) => one <= span && span < trace.ends[one]));
      if (!hiding) return false;
      this.unfoldedRuns.add(hiding.span);
    }
    return false;
  }

  showSpan(span) {
    if (!this.reveal(span)) return;
    waterfalls.sheet.replaceChildren(aboutSpan(this, span));
    this.bringToSight();
  }

  closeSpan() {
    waterfalls.sheet.replaceChildren();
    this.current = -1;
    this.draw();
  }

  /** Moves the page so that the current row is between what lies over it at the top and at the bottom. */
  bringToSight() {
    const row = this.list.querySelector(".current");
    if (!row) return;
    const { top, bottom } = row.getBoundingClientRect();
    const floor = innerHeight - waterfalls.sheet.offsetHeight;
    const ceiling = waterfalls.ruler.getBoundingClientRect().bottom + 8;
    if (top < ceiling || bottom > floor) scrollBy({ top: top - (ceiling + floor) / 2 });
  }
}

function bar(kind, from, to) {
  const left = Math.max(-0.01, from);
  const width = Math.min(1.01, to) - left;
  if (to < 0 || from > 1) return null;
  return el("span", { class: `bar ${kind}`, style: { left: percent(left), width: percent(Math.max(0, width)) } });
}

function closeSpan() {
  const shown = waterfalls.all.find((one) => one.current >= 0);
  go({});
  shown?.closeSpan();
  shown?.list.focus({ preventScroll: true });
}

function aboutSpan(waterfall, span) {
  const { trace } = waterfall;
  const call = trace.calls.get(span);
  const pairs = (all) => el("dl", { class: "pairs" }, all.map(({ key, value, type }) => [
    el("dt", {}, name(key)), el("dd", {}, el("bdi", {}, value), type && type !== "string" && el("span", { class: "soft" }, ` ${type}`)),
  ]));
  const events = trace.events[span] ?? [];
  const row = waterfall.rows.find((one) => one.span === span && !one.elsewhere);
  const logs = waterfall.logsOf(row ?? { span });
  const parent = trace.parents[span];
  return el("div", { class: "about-span", role: "region", "aria-label": "the chosen span" },
    el("header", {}, el("h4", {}, name(trace.name(span))),
      call?.step && el("a", { href: cellLink(report.examples[call.example].name, call.step) }, "its cell"),
      parent >= 0 && el("a", { href: spanLink(trace.id, trace.ids[parent]) }, "its parent"),
      el("button", { type: "button", onclick: () => closeSpan() }, "close")),
    el("div", { class: "columns", tabindex: "0", role: "group", "aria-label": "attributes" },
      el("div", {}, el("h5", {}, "span"), pairs([
        ...basics(trace, span).map(([key, value]) => ({ key, value })),
        { key: "service", value: trace.service(span) },
        { key: "span id", value: trace.ids[span] },
        { key: "parent id", value: parent >= 0 ? trace.ids[parent] : trace.missing_parents[span] ? `${trace.missing_parents[span]}, not in this trace` : "none" },
      ].filter(({ key }) => key !== "name"))),
      el("div", {}, el("h5", {}, "attributes"), trace.attributes[span].length > 0 ? pairs(trace.attributesOf(span)) : el("p", { class: "soft" }, "none")),
      el("div", {}, el("h5", {}, "resource"), pairs(trace.resourceOf(span))),
      events.length > 0 && el("div", {}, el("h5", {}, "events"), events.map((event) => [
        el("p", { class: "mono" }, `+${duration(event.at)} `, name(trace.store.strings[event.name])),
        pairs(triples(event.attributes, trace.store)),
      ])),
      logs.length > 0 && el("div", { class: "logs" }, el("h5", {}, "logs"), el("ol", {}, logs.map((line) => logLine(trace, line))))));
}

function logLine(trace, { span, at, rank, level, source, text }) {
  return el("li", {}, el("a", { href: spanLink(trace.id, trace.ids[span]) }, `+${duration(at)}`), " ",
    el("b", { class: RANKS[rank] }, name(level)), " ", el("span", { class: "soft" }, name(source)), " ", el("bdi", {}, text));
}

function drawRuler() {
  const { ruler, scale } = waterfalls;
  if (!ruler) return;
  const marks = view.by === "step" && scale.hasSteps ? stepMarks() : timeMarks();
  ruler.replaceChildren(...marks);
}

function stepMarks() {
  return waterfalls.scale.columns.filter((column) => column.step !== null && column.width > 0).map((column) => {
    const left = onScreen(column.left);
    const width = onScreen(column.left + column.width) - left;
    if (left > 1 || left + width < 0) return null;
    const step = report.steps[column.step].name;
    const from = Math.max(0, left);
    const head = el("button", {
      type: "button", tabindex: "-1", title: `${step}: at most ${duration(column.most)}; zoom to it`,
      style: { left: percent(from), width: percent(left + width - from) },
      onclick: () => show(column.left - column.width * 0.02, column.left + column.width * 1.02),
    }, step);
    // A column that fills the screen has room for times of its own.
    const ticks = width < 0.6 ? [] : [0.25, 0.5, 0.75].map((share) =>
      el("span", { class: "tick", style: { left: percent(left + width * share) } }, `+${duration(column.most * share)}`));
    return [head, ...ticks];
  }).flat().filter(Boolean);
}

function timeMarks() {
  const { longest } = waterfalls.scale;
  const from = view.from * longest;
  const to = view.to * longest;
  const rough = (to - from) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const marks = [];
  for (let ns = Math.ceil(from / step) * step; ns <= to; ns += step) {
    marks.push(el("span", { style: { left: percent(onScreen(ns / longest)) } }, duration(ns)));
  }
  return marks;
}
