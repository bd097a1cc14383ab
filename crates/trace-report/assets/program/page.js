// The rest of the page: times, output and the run; the address; and the start.

function timesSection() {
  if (!report.steps.some((step) => step.cells.some(Boolean))) return null;
  const most = (step) => Math.max(1, ...step.cells.map((cell) => cell?.client_ns ?? 0));
  return el("section", { id: "times", "aria-labelledby": "times-title" },
    el("header", {}, el("h2", { id: "times-title" }, "Times"),
      el("p", {}, "In bold the client's time in all calls of a step, below it the server's part of that time. The bars of a row have one scale: ",
        "hatched is the client, solid the server. A tick is one call of several.")),
    el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-labelledby": "times-title" },
      el("table", { class: "times" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "step"), report.examples.map((example) => el("th", { scope: "col" }, name(example.name))))),
        el("tbody", {}, report.steps.filter((step) => step.cells.some(Boolean)).map((step) => el("tr", {},
          el("th", { scope: "row" }, el("code", {}, breakable(step.name))),
          step.cells.map((cell) => el("td", {}, cell ? time(cell, most(step)) : el("span", { class: "soft" }, "–")))))))),
    gapsPanel());
}

/** Per step and example: the client's time less the server's. Of repeats, the median and the worst. */
function gapsPanel() {
  const columns = [...new Set(report.timing.flatMap((step) => step.examples.map((timing) => timing.example)))];
  return [
    el("p", { class: "soft after" }, "The gap is the client's time less the server's: the network and the client's own work. An outlier's gap is more than three times the others' median and at least 5 ms longer."),
    el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "gaps" },
      el("table", { class: "times gaps" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "step"), columns.map((column) => el("th", { scope: "col" }, name(column))))),
        el("tbody", {}, report.timing.map((step) => el("tr", {},
          el("th", { scope: "row" }, el("code", {}, breakable(step.step)), step.per_poll && el("span", { class: "soft" }, " a poll")),
          columns.map((column) => el("td", {}, gap(step.examples.find((timing) => timing.example === column))))))))),
  ];
}

function gap(timing) {
  if (!timing?.gap) return el("span", { class: "soft" }, "–");
  const took = (times) => duration(times.median) + (timing.runs > 1 ? `, worst ${duration(times.worst)}` : "");
  return [
    el("span", { class: "number" }, took(timing.gap)),
    timing.outlier && el("b", {}, " outlier"),
    el("div", { class: "soft" }, `client ${took(timing.client)}`),
    el("div", { class: "soft" }, `server ${took(timing.server)}`),
  ];
}

function time(cell, most) {
  const share = (ns) => percent(ns / most);
  return [
    el("b", { class: "number" }, duration(cell.client_ns)),
    cell.wire_ns && el("div", { class: "soft" }, `wire ${duration(cell.wire_ns)}`),
    el("div", { class: "soft" }, cell.joined > 0 ? `server ${duration(cell.server_ns)}` : "no server span"),
    el("div", { class: "plot track", "aria-hidden": "true" },
      el("i", { class: "client", style: { width: share(cell.client_ns) } }),
      cell.wire_ns && el("i", { class: "wire", style: { width: share(Math.min(cell.wire_ns, cell.client_ns)) } }),
      el("i", { class: "server", style: { width: share(Math.min(cell.server_ns, cell.client_ns)) } })),
    cell.calls.length > 1 && el("div", { class: "dots", "aria-hidden": "true", "data-calls": "" }),
  ];
}

/** One tick per call, at its duration within the longest of its row. */
function fillDots() {
  const rows = [...document.querySelectorAll("#times .times:not(.gaps) tbody tr")];
  report.steps.filter((step) => step.cells.some(Boolean)).forEach((step, at) => {
    const took = (call) => (call.client ? spans.traces[call.client[0]].durations[call.client[1]] : 0);
    const all = step.cells.map((cell) => (cell && cell.calls.length > 1 ? cell.calls.map(took) : []));
    const most = Math.max(1, ...all.flat());
    all.forEach((times, example) => {
      const holder = rows[at].children[example + 1].querySelector(".dots");
      holder?.append(...times.slice(0, 200).map((ns) => el("i", { style: { left: percent((ns / most) * 0.98) } })));
    });
  });
}

/** A section with a table: a row for each of `rows`, a column for each example, and `cell` in each place. */
function tableOf({ id, title, about, label, rows }, cell) {
  if (rows.length === 0) return null;
  return el("section", { id, "aria-labelledby": `${id}-title` },
    el("header", {}, el("h2", { id: `${id}-title` }, title), el("p", {}, about)),
    el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-labelledby": `${id}-title` },
      el("table", { class: "times" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, label), report.examples.map((example) => el("th", { scope: "col" }, name(example.name))))),
        el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, name(row.name)), row.cells.map((one) => el("td", {}, cell(one)))))))));
}

function operationsSection() {
  const about = `The calls of each ${NOUN}, by what it did with the vector store.`;
  return tableOf({ id: "operations", title: "Operations", about, label: "operation", rows: report.operations }, (cell) =>
    (cell === null ? "–" : [el("span", { class: cell.bad ? "bad" : "" }, cell.text), cell.told && el("div", { class: "soft" }, sentence(cell.told))]));
}

const SIGNALS = { there: ["good", "✓"], renamed: ["known", "~"], missing: ["soft", ""], differs: ["warning", "!"] };

function signalsSection() {
  const about = `What each ${NOUN} sent beside its spans.`;
  return tableOf({ id: "signals", title: "Metrics and logs", about, label: "signal", rows: report.signals }, (cell) => {
    const [kind, sign] = SIGNALS[cell.state];
    return [sign && tag(kind, sign, ""), el("span", { class: cell.state === "missing" ? "soft" : "" }, name(cell.text)),
      cell.takes && el("details", {}, el("summary", {}, "what it takes"), el("p", { class: "soft" }, sentence(cell.takes)))];
  });
}

function logsSection() {
  const logs = report.examples.filter((example) => example.exit !== null || example.command);
  if (logs.length === 0) return null;
  return el("section", { id: "output", "aria-labelledby": "output-title" },
    el("header", {}, el("h2", { id: "output-title" }, "Output"), el("p", {}, `The command and the last lines of output of each ${NOUN}.`)),
    el("div", { class: "panel" }, logs.map((example) => el("details", { class: "log", open: example.failed },
      el("summary", {}, el("b", {}, name(example.name)),
        el("span", { class: example.failed ? "bad" : "soft" }, `${example.failed ? "✕ " : ""}${example.exit}`),
        example.seconds !== null && el("span", { class: "soft" }, `after ${seconds(example.seconds)}`)),
      example.command && el("p", { class: "command" }, el("code", {}, `$ ${example.command}`)),
      el("pre", { tabindex: "0", role: "region", "aria-label": `output of ${example.name}` }, el("bdi", {}, example.log.join("\n") || "(no output was kept)"))))));
}

/** The phases of a run, in a reader's words. */
const PHASES = {
  preflight: "checks", prepare: "installation", stack: "Milvus starts", examples: `${NOUN}s run`, settle: "wait for the last spans",
  compare: "comparison",
};

/** The packages of an example, and its SDK and instrumentation as its spans name them. */
const versionsOf = (example) => [...example.telemetry, ...Object.entries(example.versions)];

function runSection() {
  const resolved = report.examples.filter((example) => versionsOf(example).length > 0);
  if (report.phases.length === 0 && resolved.length === 0) return null;
  const total = report.phases.reduce((sum, phase) => sum + phase.seconds, 0) || 1;
  return el("section", { id: "run", "aria-labelledby": "run-title" },
    el("header", {}, el("h2", { id: "run-title" }, "The run")),
    report.phases.length > 0 && el("div", { class: "panel phases" },
      el("div", { class: "track", "aria-hidden": "true" }, report.phases.map((phase, at) =>
        el("i", { class: `hue-${at % 7}`, title: phase.name, style: { width: percent(phase.seconds / total) } }))),
      el("ol", {}, report.phases.map((phase, at) => el("li", {},
        el("i", { class: `hue-${at % 7}`, "aria-hidden": "true" }), name(PHASES[phase.name] ?? phase.name), el("b", {}, seconds(phase.seconds)))))),
    resolved.length > 0 && el("div", { class: "panel versions" }, resolved.map((example) => el("details", { class: "log" },
      el("summary", {}, el("b", {}, name(example.name)), el("span", { class: "soft" }, plural(versionsOf(example).length, "version"))),
      el("ul", {}, versionsOf(example).map(([one, version]) => el("li", {}, el("code", {}, name(one)), " ", name(version))))))));
}

function topBar(sections) {
  const titles = { steps: report.steps.length > 0 ? "Steps" : "Calls", findings: "Findings", traces: "Traces", expected: "Expected", stages: "Stages", operations: "Operations", times: "Times", signals: "Signals", output: "Output", run: "Run" };
  const save = el("button", { type: "button", onclick: saveRaw, title: `the captured spans as OTLP JSON, ${bytes(report.raw_bytes)}` },
    "save spans", el("span", { class: "wide-only" }, " as OTLP JSON"));
  const bad = report.findings.some((finding) => finding.severity !== "info");
  return el("header", { class: "top" }, el("div", { class: "bar-inside" },
    el("span", { class: `brand ${report.verdict === "consistent" ? "good" : "bad"}` },
      el("span", { class: "mark", "aria-hidden": "true" }, SEALS[report.verdict]), el("span", { class: "word" }, report.verdict.replaceAll("-", " "))),
    el("nav", { "aria-label": "sections" }, el("ul", {}, sections.filter((section) => titles[section.id])
      .map((section) => el("li", {}, el("a", { href: `#${section.id}` }, titles[section.id]))))),
    el("div", { class: "tools" },
      bad && el("button", { type: "button", class: "next", title: "key n", onclick: () => nextFinding() }, "next finding"),
      save, themeButton())));
}

/** Goes from finding to finding, and from the last to the first. */
function nextFinding() {
  const all = [...document.querySelectorAll("#findings .finding")].filter((card) => card.checkVisibility());
  const next = all[all.indexOf(document.activeElement.closest(".finding") ?? nextFinding.last) + 1] ?? all[0];
  if (!next) return;
  nextFinding.last = next;
  next.scrollIntoView({ block: "start" });
  next.focus({ preventScroll: true });
}

/** Says which theme it switches to. */
function themeButton() {
  const { dataset } = document.documentElement;
  const isDark = () => (dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const other = () => (isDark() ? "light" : "dark");
  const button = el("button", {
    type: "button",
    onclick: () => {
      dataset.theme = other();
      button.textContent = `${other()} theme`;
    },
  }, `${other()} theme`);
  return button;
}

/** The OTLP JSON that was judged, as it was captured. */
async function saveRaw() {
  const url = URL.createObjectURL(await unpack("raw").blob());
  el("a", { href: url, download: "capture.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function pageFooter() {
  const keys = (words, ...all) => [all.map((key) => [el("kbd", {}, key), " "]), words];
  return el("footer", {},
    el("p", {}, "This page loads nothing and holds the spans that were judged. ",
      el("code", {}, `${report.program} compare report.html`), " judges them again."),
    el("p", {}, "Keys: ", keys("search · ", "/"), keys("next finding · ", "n"), keys("move in the table or a trace · ", "↑", "↓", "←", "→"),
      keys("open · ", "Enter"), keys("close · ", "Esc"), keys("zoom in a trace", "+", "−", "0")));
}

/** Where the reader is, as the address says it. */
function whereabouts() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  const parts = path.split("/").map(decodeURIComponent);
  const place = { query: new URLSearchParams(query) };
  if (path.startsWith("~")) return { ...place, trace: parts[0].slice(1), span: parts[1] };
  if (parts.length >= 2) return { ...place, example: parts[0], step: parts[1], call: Number(parts[2] ?? 0) || 0 };
  return place;
}

function address({ example, step, call, trace, span }) {
  const path = trace ? `~${trace}/${span}` : example ? cellLink(example, step).slice(1) + (call ? `/${call}` : "") : "";
  const query = new URLSearchParams();
  if (search.text) query.set("q", search.text);
  if (view.by !== "step") query.set("by", view.by);
  if (view.from > 0 || view.to < 1) query.set("x", `${view.from.toFixed(5)}-${view.to.toFixed(5)}`);
  const rest = query.toString();
  return `#${path}${rest && `?${rest}`}`;
}

/** Goes to a cell, a span or, with neither, nowhere in particular. */
function go(place) {
  history.pushState(null, "", address(place));
  arrive(false);
}

/** Keeps search and zoom in the address without a step in the history. */
function remember() {
  const place = whereabouts();
  const anchor = location.hash.length > 1 && !place.trace && !place.example && !location.hash.startsWith("#?");
  if (!anchor) history.replaceState(null, "", address(place));
}

/** Shows what the address says. */
function arrive(scroll = true) {
  const place = whereabouts();
  showCell(place.example, place.step, place.call);
  if (table.open && scroll) table.open.button.scrollIntoView({ block: "start" });
  if (!place.trace) return;
  const waterfall = waterfallOf(place.trace);
  if (!waterfall) return;
  if (place.span) waterfall.showSpan(waterfall.trace.find(place.span));
  else waterfall.element.scrollIntoView({ block: "start" });
}

/** Search and zoom of the address that the page was opened with. */
function restore() {
  const { query } = whereabouts();
  if (query.get("by") === "time") align("time");
  const zoomed = /^([\d.]+)-([\d.]+)$/.exec(query.get("x") ?? "");
  if (zoomed && Number(zoomed[2]) > Number(zoomed[1])) show(Number(zoomed[1]), Number(zoomed[2]));
  const wanted = query.get("q");
  if (wanted) {
    search.input.value = wanted;
    find(wanted);
  }
}

async function start() {
  const bad = report.findings.length > 0 && report.verdict !== "consistent";
  const sections = [
    verdictSection(), bad && findingsSection(), tableSection(), operationsSection(), tracesSection(), !bad && findingsSection(),
    expectedSection(), stagesSection(), timesSection(), signalsSection(), logsSection(), runSection(),
  ].filter(Boolean);
  document.body.prepend(
    el("a", { class: "skip", href: "#verdict" }, "to the verdict"), topBar(sections), el("main", {}, sections), pageFooter());
  spans = await readSpans();
  linkTraces(document.body);
  fillTraces();
  fillDots();
  linkFrames();
  if (waterfalls.scale) restore();
  arrive();
  addEventListener("popstate", () => arrive());
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && search.input) {
      event.preventDefault();
      search.input.focus();
    }
    if (event.key === "n" && !event.ctrlKey && !event.metaKey && !event.altKey && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) nextFinding();
    if (event.key === "Escape" && event.target !== search.input) {
      if (table.open) closeCell();
      else if (waterfalls.sheet.hasChildNodes()) closeSpan();
    }
  });
  document.documentElement.dataset.ready = "";
  performance.mark("ready");
}

start().catch((error) => {
  giveUp(error);
  throw error;
});
