// The section that holds the waterfalls, with its controls.

const narrow = matchMedia("(max-width: 720px)");

function tracesSection() {
  const holder = el("div", { class: "panel", "aria-busy": "true" }, el("p", { class: "soft", style: { padding: "14px" } }, "Reading the spans…"));
  waterfalls.holder = holder;
  return el("section", { id: "traces", "aria-labelledby": "traces-title" },
    el("header", {}, el("h2", { id: "traces-title" }, "Traces"),
      el("p", {}, report.steps.length > 0
        ? `One trace below the other${failingFirst()}. By step, each step has one column with one scale; waits between steps are drawn short.`
        : `One trace below the other${failingFirst()}.`)),
    holder);
}

function fillTraces() {
  const { holder } = waterfalls;
  holder.removeAttribute("aria-busy");
  const taken = new Set();
  const main = [];
  report.examples.forEach((example, index) => example.traces.forEach((trace, which) => {
    taken.add(trace);
    main.push({ trace: spans.traces[trace], example: index, title: which === 0 ? example.name : `${example.name}, trace ${which + 1}` });
  }));
  const others = spans.traces.filter((trace) => !taken.has(trace.index));
  if (main.length === 0 && others.length === 0) {
    holder.replaceChildren(el("p", { class: "soft", style: { padding: "14px" } }, "No spans arrived."));
    return;
  }
  waterfalls.scale = new Scale(main);
  if (!waterfalls.scale.hasSteps) view.by = "time";
  measureRows();
  waterfalls.all = main.map(({ trace, example, title }) => new Waterfall(trace, example, title));
  const failing = ({ example }) => report.examples[example].outcome === "fail";
  if (waterfalls.all.some(failing)) waterfalls.all.filter((one) => !failing(one)).forEach((one) => one.setClosed(true));
  const rest = others.length > 0 && othersList(others);
  holder.replaceChildren(controls(), legend(), ruler(), ...waterfalls.all.map((one) => one.element), ...(rest ? [rest] : []), waterfalls.sheet);
  waterfalls.redraw();
  new ResizeObserver(waterfalls.redraw).observe(holder);
  narrow.addEventListener("change", () => { measureRows(); waterfalls.redraw(); });
}

function measureRows() {
  waterfalls.rowHeight = Number.parseInt(getComputedStyle(document.documentElement).getPropertyValue("--row"), 10);
}

/** Traces of server spans alone that a call or a finding points into; each is drawn on demand. */
function othersList(others) {
  const rest = el("details", { class: "more" },
    el("summary", {}, `${plural(others.length, "trace")} of server spans alone; they belong into the traces above`));
  waterfalls.others = { element: rest, traces: others };
  rest.addEventListener("toggle", () => {
    if (rest.open) others.forEach(drawOther);
  });
  return rest;
}

function drawOther(trace) {
  const known = waterfalls.all.find((one) => one.trace === trace);
  if (known) return known;
  const waterfall = new Waterfall(trace, null, `the server: ${trace.name(0)}`);
  waterfalls.all.push(waterfall);
  waterfalls.others.element.append(waterfall.element);
  waterfalls.redraw();
  return waterfall;
}

function waterfallOf(id) {
  const known = waterfalls.all.find((one) => one.trace.id === id);
  if (known) return known;
  const other = waterfalls.others?.traces.find((trace) => trace.id === id);
  if (!other) return null;
  waterfalls.others.element.open = true;
  return drawOther(other);
}

function controls() {
  search.count = el("span", { class: "count", role: "status" });
  search.input = el("input", {
    type: "search", placeholder: "name, attribute or key=value", "aria-label": "search in all spans", spellcheck: "false",
    oninput: (event) => find(event.target.value.trim()),
    onkeydown: (event) => {
      if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") { event.target.value = ""; find(""); }
    },
  });
  const by = (mode, words) => el("button", {
    type: "button", "aria-pressed": String(view.by === mode), "data-by": mode,
    onclick: () => align(mode),
  }, words);
  const button = (sign, label, action) => el("button", { type: "button", "aria-label": label, title: label, onclick: action }, sign);
  return el("div", { class: "controls" },
    el("div", { class: "search", role: "search" }, search.input, search.count,
      button("↑", "previous match", () => nextHit(-1)), button("↓", "next match", () => nextHit(1))),
    waterfalls.scale.hasSteps && el("div", { class: "group", role: "group", "aria-label": "align" }, by("step", "by step"), by("time", "by time")),
    el("div", { class: "group", role: "group", "aria-label": "zoom" },
      button("−", "zoom out", () => zoom(2)), button("+", "zoom in", () => zoom(0.5)), button("fit", "fit all", () => show(0, 1))),
    spans.traces.some((trace) => trace.logged.length > 0) && logChoice(),
    el("div", { class: "group", role: "group", "aria-label": "all traces" },
      button("unfold all", "unfold all traces", () => waterfalls.all.forEach((one) => one.unfoldAll())),
      button("fold all", "fold all traces", () => waterfalls.all.forEach((one) => one.foldAll()))));
}

/** From which rank on log lines are shown. */
function logChoice() {
  const choices = ["all logs", "warnings and errors", "errors", "no logs"];
  return el("select", { "aria-label": "log lines", onchange: (event) => { view.logs = event.target.selectedIndex; waterfalls.redraw(); } },
    choices.map((words) => el("option", {}, words)));
}

function align(mode) {
  view.by = mode;
  view.from = 0;
  view.to = 1;
  for (const button of waterfalls.holder.querySelectorAll("[data-by]")) button.setAttribute("aria-pressed", String(button.dataset.by === mode));
  waterfalls.redraw();
}

function legend() {
  const entry = (kind, words) => el("li", {}, el("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), words);
  const lost = spans.traces.some((trace) => [...trace.calls.values()].some((call) => call.elsewhere));
  return el("ul", { class: "legend" },
    entry("client", "client's call; hatched: time outside the server"),
    entry("server", "server's work"),
    spans.traces.some((trace) => [...trace.calls.values()].some((call) => call.wire)) && entry("wire", "on the wire"),
    lost && entry("astray", "the server's half, in another trace"),
    el("li", {}, el("span", { class: "mono" }, "→ ← ·"), "client, server, internal span"));
}

/** Drag over it to zoom; wheel with Ctrl zooms, with Shift moves. */
function ruler() {
  const scale = el("div", { class: "scale" });
  waterfalls.ruler = scale;
  const shareAt = (event) => {
    const box = scale.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  let drag = null;
  scale.addEventListener("pointerdown", (event) => {
    drag = { from: shareAt(event), band: el("div", { class: "band" }), moved: false };
  });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    const to = shareAt(event);
    drag.moved ||= Math.abs(to - drag.from) > 0.005;
    if (!drag.moved) return;
    scale.append(drag.band);
    drag.band.style.left = percent(Math.min(to, drag.from));
    drag.band.style.width = percent(Math.abs(to - drag.from));
  });
  addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { from, moved, band } = drag;
    drag = null;
    band.remove();
    if (!moved) return;
    const [a, b] = [from, shareAt(event)].sort((x, y) => x - y);
    const width = view.to - view.from;
    addEventListener("click", (click) => click.stopPropagation(), { capture: true, once: true });
    setTimeout(() => show(view.from + a * width, view.from + b * width));
  });
  waterfalls.holder.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    if (event.ctrlKey) return zoom(event.deltaY > 0 ? 1.25 : 0.8, shareAt(event));
    const by = (view.to - view.from) * 0.1 * Math.sign(event.deltaY || event.deltaX);
    show(view.from + by, view.to + by);
  }, { passive: false });
  return el("div", { class: "ruler", "aria-hidden": "true" }, el("span", { class: "label" }, "span"), scale);
}
