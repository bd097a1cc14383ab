// Where the time of each operation goes: stages as bars, the examples under one another.

/** Stages with less than this share of an operation's time are one. */
const SMALL_STAGE = 0.01;
/** The bars of an example are marked when it takes so many times the others' median, and so many nanoseconds more. */
const STAGES_OUTLIER = { times: 1.5, ns: 5e6 };

function stagesSection() {
  const { operations } = report.stages;
  if (operations.length === 0) return null;
  return el("section", { id: "stages", "aria-labelledby": "stages-title" },
    el("header", {}, el("h2", { id: "stages-title" }, "Where the time goes"),
      el("p", {}, "Each operation's time by stages, in the mean of its calls. Each moment belongs to the span that the call waited for then, so the stages add up to the call.")),
    operations.map(operationPanel));
}

function operationPanel(operation) {
  const { rows } = operation;
  const whole = sum(rows.map((row) => row.total)) || 1;
  const longest = Math.max(1, ...rows.map((row) => row.total));
  const places = report.stages.stages.map((_, place) => place);
  const ofAll = (place) => sum(rows.map((row) => part(row, place)));
  const large = places.filter((place) => ofAll(place) >= whole * SMALL_STAGE);
  const shown = [
    ...large.map((place, at) => ({ ...report.stages.stages[place], hue: at % 5, ns: (row) => part(row, place) })),
    { title: "shorter stages", about: "stages below 1 % together", hue: 5, ns: (row) => sum(places.filter((place) => !large.includes(place)).map((place) => part(row, place))) },
    { title: "unexplained", about: "time that no stage has", hue: 6, ns: (row) => row.unexplained },
  ];
  const step = operation.step && operation.step !== operation.method.toLowerCase() ? ` in step ${operation.step}` : "";
  return el("details", { class: "panel phases stages", open: operation.method === "Search" },
    el("summary", {}, el("b", {}, name(operation.method)), el("span", { class: "soft" }, `${step} · ${plural(sum(rows.map((row) => row.calls)), "call")}`)),
    rows.map((row) => stagesRow(row, shown, longest, rows)),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `stages of ${operation.method}${step}` },
      el("table", { class: "times" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "stage"), rows.map((row) => el("th", { scope: "col" }, name(row.example))))),
        el("tbody", {}, shown.map((stage) => el("tr", {},
          el("th", { scope: "row", title: stage.about }, el("i", { class: `swatch hue-${stage.hue}`, "aria-hidden": "true" }), stage.title),
          rows.map((row) => el("td", {}, el("span", { class: "number" }, duration(stage.ns(row)))))))))),
    flamePanel(operation, large));
}

/** The slowest call as a flame graph, and what was logged in its time. */
function flamePanel({ method, slowest }, large) {
  const titled = (place) => (place === null ? "unexplained" : report.stages.stages[place].title);
  const hue = (place) => (place === null ? 6 : large.includes(place) ? large.indexOf(place) % 5 : 5);
  const rows = [];
  const above = [];
  const frames = slowest.depths.map((depth, i) => {
    const from = slowest.starts[i];
    const to = from + slowest.lengths[i];
    let row = depth === 0 ? 0 : above[depth - 1] + 1;
    // Frames that work side by side are below one another.
    while (rows[row]?.some((other) => from < other.to && other.from < to)) row++;
    (rows[row] ??= []).push({ from, to });
    above[depth] = row;
    const waited = slowest.waited[i] > 0 ? `the call waits ${duration(slowest.waited[i])} for it: ${titled(slowest.stages[i])}` : "the call doesn't wait for it";
    return el("a", {
      class: `hue-${hue(slowest.stages[i])}${slowest.waited[i] > 0 ? "" : " beside"}`, "data-span": slowest.spans[i]?.join(" "),
      title: `${slowest.names[i]}, ${duration(to - from)}; ${waited}`,
      style: { left: percent(from / (slowest.total || 1)), width: percent((to - from) / (slowest.total || 1)), top: `${row * 24}px` },
    }, name(slowest.names[i].split("/").at(-1)), ` ${duration(to - from)}`);
  });
  const left = [slowest.left_out > 0 && plural(slowest.left_out, "shorter span"), slowest.lines_left_out > 0 && plural(slowest.lines_left_out, "more line")].filter(Boolean);
  return [
    el("h3", { class: "after" }, "The slowest call: ", name(slowest.example), `, ${duration(slowest.total)}`),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `flame graph of the slowest ${method}` },
      el("div", { class: "flame", style: { height: `${rows.length * 24}px` } }, frames)),
    slowest.lines.length > 0 && el("ol", { class: "lines", "aria-label": "logged in this call" }, slowest.lines.map((line) => el("li", {},
      el("i", { class: `swatch hue-${hue(line.stage)}`, "aria-hidden": "true" }), el("b", {}, titled(line.stage)), ` +${duration(line.at)} `,
      el("bdi", { class: "mono" }, line.text), line.may_be_of_another && el("span", { class: "soft" }, " (or in another call of the trace)")))),
    left.length > 0 && el("p", { class: "soft" }, `left out: ${list(left)}`),
  ];
}

/** Links frames to their spans, once these are read. */
function linkFrames() {
  for (const frame of document.querySelectorAll(".flame [data-span]")) {
    const [trace, span] = frame.dataset.span.split(" ").map(Number);
    frame.href = spanLink(spans.traces[trace].id, spans.traces[trace].ids[span]);
  }
}

function stagesRow(row, shown, longest, rows) {
  const others = rows.filter((other) => other !== row).map((other) => other.total).sort((a, b) => a - b);
  const usual = others[others.length >> 1];
  const isOutlier = others.length > 1 && row.total > usual * STAGES_OUTLIER.times && row.total > usual + STAGES_OUTLIER.ns;
  const { reason } = row;
  return el("div", { class: "stage-row" },
    name(row.example),
    el("div", { class: "track", "aria-hidden": "true", style: { width: percent(row.total / longest) } },
      shown.map((stage) => stage.ns(row) > 0 && el("i", { class: `hue-${stage.hue}`, title: `${stage.title} ${duration(stage.ns(row))}`, style: { width: percent(stage.ns(row) / (row.total || 1)) } }))),
    el("span", { class: "number" }, duration(row.total), isOutlier && el("b", {}, " outlier")),
    reason && el("p", { class: "soft" }, `${row.calls > 1 ? "the slowest: " : ""}${reason.name}${reason.guess ? " (a guess)" : ""}, ${duration(reason.ns)} of ${duration(reason.of)}: `, sentence(reason.says)));
}

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const part = (row, place) => row.parts.find(([known]) => known === place)?.[1] ?? 0;
