// The aligned table: a row per step, a column per example, and the contents of an opened cell.

/** Buttons by example and step, and the cell that is open. */
const table = { buttons: new Map(), open: null };

function tableSection() {
  if (report.steps.length === 0) return countsSection();
  const body = el("tbody");
  for (const [index, step] of report.steps.entries()) {
    body.append(el("tr", { "data-step": index },
      el("th", { scope: "row" }, breakable(step.name), isSkipped(step) && el("small", {}, `no ${NOUN} needed it`)),
      report.examples.map((_, example) => el("td", {}, cell(index, example)))));
  }
  const grid = el("table", { class: "steps", style: { "--examples": report.examples.length } },
    el("caption", { class: "visually-hidden" }, "Steps by example; a cell opens"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "step"), report.examples.map(columnHead))),
    body);
  grid.addEventListener("keydown", moveInTable);
  return el("section", { id: "steps", "aria-labelledby": "steps-title" },
    el("header", {}, el("h2", { id: "steps-title" }, "Step by step"),
      el("p", {}, `A row for each step of the scenario, a column for each ${NOUN}${failingFirst()}. Select a cell to see its spans.`),
      signs()),
    el("p", { class: "swipe", "aria-hidden": "true" }, "The table is wider than the screen: swipe it sideways."),
    el("div", { class: "panel scroll", onscroll: hideCue }, grid));
}

const failingFirst = () => (report.examples.some((example) => example.outcome === "fail") ? ", failing ones first" : "");

const isSkipped = (step) => step.cells.every((cell) => cell === null) && !step.worst.includes("error");

/** The signs in the table's cells, those that occur. */
function signs() {
  const cells = report.steps.flatMap((step) => step.cells);
  const some = (wanted) => cells.some((cell) => cell && wanted(cell));
  const known = [
    ["✓", "good", "each call has its server span, in the same trace", some((cell) => cell.joined === cell.count)],
    ["✕", "bad", "a call has no server span in its trace; 0/17 joined: none of 17 calls has one", some((cell) => cell.joined < cell.count)],
    ["≠", "soft", `the methods differ from those of most other ${NOUN}s`, some((cell) => cell.differs)],
    ["15 polls", "soft", "the call was repeated until the collection was loaded", some((cell) => cell.polling)],
    ["–", "soft", `the ${NOUN} has no call in this step`, cells.includes(null)],
  ];
  return el("ul", { class: "signs" }, known.filter(([, , , occurs]) => occurs)
    .map(([sign, kind, words]) => el("li", {}, el("span", { class: `sign ${kind}` }, sign), " ", words)));
}

/** The cue that the table goes on has done its work once somebody has scrolled. */
function hideCue(event) {
  event.target.previousElementSibling.hidden = event.target.scrollLeft > 8;
}

/** Without a contract there are no steps; these counts take the table's place. */
function countsSection() {
  const judged = report.examples.filter((example) => example.spans > 0);
  if (judged.length === 0) return null;
  return el("section", { id: "steps", "aria-labelledby": "steps-title" },
    el("header", {}, el("h2", { id: "steps-title" }, "Calls"),
      el("p", {}, "A call is joined if the server's span for it is below it, in the same trace.")),
    el("div", { class: "panel scroll" },
      el("table", { class: "counts" },
        el("thead", {}, el("tr", {}, [NOUN, "client calls", "joined", "not joined", "spans", "client side"].map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, judged.map((example) => {
          const lost = example.client_rpcs - example.joined;
          const [kind, sign, words] = OUTCOMES[example.outcome];
          return el("tr", {},
            el("th", { scope: "row" }, name(example.name), " ", tag(kind, sign, words)),
            el("td", {}, example.client_rpcs.toLocaleString("en")), el("td", {}, example.joined.toLocaleString("en")),
            el("td", { class: lost > 0 ? "bad" : undefined }, lost.toLocaleString("en")), el("td", {}, example.spans.toLocaleString("en")),
            el("td", { class: "soft" }, name(example.telemetry.map((pair) => pair.join(" ")).join(", ") || "–")));
        })))));
}

function columnHead(example) {
  const [kind, sign, words] = OUTCOMES[example.outcome];
  const language = example.language !== example.name && example.language;
  const version = (title, what, number) => el("span", { class: "version", title }, breakable(what), " ", name(number));
  return el("th", { scope: "col" }, el("span", { class: "name" }, breakable(example.name)),
    language && el("span", { class: "said" }, name(language)), tag(kind, sign, words),
    decisive(example.versions).map((one) => version(one, shortPackage(one), example.versions[one])),
    example.telemetry.filter(([what]) => what === "SDK").map(([what, number]) => version("the SDK, as the spans name it", what, number)));
}

/** The packages that decide whether a trace is whole: the Milvus client and the instrumentation of its calls. */
const DECISIVE = [/^pymilvus$|milvus.*(sdk|client)[^/]*(\/v\d+)?$/, /(otelgrpc|instrumentation-grpc|javaagent|^opentelemetry)$/];

const decisive = (versions) => DECISIVE.flatMap((pattern) => Object.keys(versions).filter((one) => pattern.test(one)).slice(0, 1));

/** A package without its group, scope or path, such as `otelgrpc`. */
const shortPackage = (one) => one.split(/[/:]/).findLast((part) => !/^v\d+$/.test(part)).replace(/^opentelemetry-/, "");

function cell(index, example) {
  const step = report.steps[index];
  const what = step.cells[example];
  const worst = step.worst[example];
  if (what === null || what === undefined) {
    const missing = worst === "error";
    return el("span", { class: missing ? "empty missing" : "empty" }, missing ? "✕ missing" : "–");
  }
  const lost = what.joined < what.count;
  const others = what.rpcs.length - 1;
  const calls = what.count > 1 && (what.polling ? `${what.count} polls · ` : others > 0 ? `+${others} · ` : `${what.count} calls · `);
  const said = (text) => el("span", { class: "visually-hidden" }, text);
  const button = el("button", {
    type: "button", class: ["cell", lost && "lost", (worst === "error" || worst === "warning") && worst].filter(Boolean).join(" "),
    title: what.rpcs.join(", "), "aria-expanded": "false",
    onclick: () => go(table.open?.button === button ? {} : { example: report.examples[example].name, step: step.name }),
  },
  said(`${report.examples[example].name}, ${step.name}: `),
  el("span", { class: "sign", "aria-hidden": "true" }, lost ? "✕" : "✓"),
  el("span", { class: "what" },
    what.differs && el("span", { class: "differs" }, el("span", { "aria-hidden": "true" }, "≠ "), said("unlike most, ")), breakable(what.rpcs[0] ?? "")),
  el("span", { class: "sub" },
    lost ? el("span", { class: "why" }, `${what.joined}/${what.count} joined · `) : [said("joined, "), calls], duration(what.client_ns)),
  worst && said(`, ${SEVERITIES[worst][1]} found`));
  table.buttons.set(`${example}/${index}`, button);
  return button;
}

function moveInTable(event) {
  const at = [...table.buttons].find(([, button]) => button === event.target);
  if (!at) return;
  const [example, step] = at[0].split("/").map(Number);
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const [dx, dy] = moves[event.key] ?? [0, 0];
  if (dx === 0 && dy === 0) return;
  event.preventDefault();
  for (let x = example + dx, y = step + dy; x >= 0 && y >= 0 && x < report.examples.length && y < report.steps.length; x += dx, y += dy) {
    const next = table.buttons.get(`${x}/${y}`);
    if (next) return next.focus();
  }
}

/** Opens the cell, closes the one that was open; without arguments only the latter. */
function showCell(exampleName, stepName, number = 0) {
  if (table.open) {
    table.open.row.remove();
    table.open.button.setAttribute("aria-expanded", "false");
    table.open = null;
  }
  const example = report.examples.findIndex((known) => known.name === exampleName);
  const step = report.steps.findIndex((known) => known.name === stepName);
  const button = table.buttons.get(`${example}/${step}`);
  if (!button) return;
  const inside = el("td", { colspan: report.examples.length + 1 }, cellInside(example, step, number));
  const row = el("tr", { class: "detail" }, inside);
  button.closest("tr").after(row);
  button.setAttribute("aria-expanded", "true");
  table.open = { button, row };
}

function cellInside(example, index, number) {
  const step = report.steps[index];
  const what = step.cells[example];
  const exampleName = report.examples[example].name;
  const found = report.findings.filter((finding) => finding.example === example && finding.step === step.name);
  const call = what.calls[number] ?? what.calls[0];
  const title = `${exampleName} / ${step.name}`;
  const chips = what.calls.length > 1 && el("div", { class: "calls", role: "group", "aria-label": "calls of this step" },
    what.calls.map((one, which) => el("button", {
      type: "button", "aria-pressed": String(one === call),
      onclick: () => go({ example: exampleName, step: step.name, call: which }),
    }, one.server ? "✓ " : "✕ ", callName(one))));
  return el("div", { class: "inside", role: "region", "aria-label": title },
    el("header", {},
      el("h3", {}, name(title)),
      el("span", { class: "soft" }, `${plural(what.count, "call")}, ${what.joined} joined`),
      call?.client && el("a", { href: spanLink(...ids(call.client)) }, "show in the waterfall"),
      el("div", { class: "push" }, el("button", { type: "button", onclick: () => closeCell() }, "close"))),
    found.length > 0 && el("ul", { class: "findings", style: { "margin-bottom": "14px" } }, found.map(findingCard)),
    chips,
    call?.client ? callInside(call, example, index) : el("p", { class: "soft" }, "The page doesn't hold the spans of this cell."));
}

function closeCell() {
  const { button } = table.open;
  go({});
  button.focus();
}

const ids = ([trace, span]) => [spans.traces[trace].id, spans.traces[trace].ids[span]];

function callName(call) {
  if (!call.client) return "a call";
  const [trace, span] = call.client;
  return shortName(spans.traces[trace].name(span));
}

const shortName = (full) => full.slice(full.lastIndexOf("/") + 1) || full;

/** One call: where its time went, and its span beside another one. */
function callInside(call, example, index) {
  const [trace, client] = call.client;
  const holder = el("div");
  const choices = [];
  if (call.server) choices.push({ label: "the server's span", place: call.server, other: "server" });
  if (call.elsewhere) choices.push({ label: "the server's span in another trace", place: call.elsewhere, other: "elsewhere" });
  report.steps[index].cells.forEach((cell, other) => {
    const twin = other !== example && cell && twinOf(call, cell);
    if (twin) choices.push({ label: `${report.examples[other].name}'s client span`, place: twin.client, other: "client" });
  });
  const choose = el("select", { "aria-label": "compare with", onchange: () => show() },
    choices.map((choice, which) => el("option", { value: which }, choice.label)));
  const show = () => {
    const choice = choices[choose.value];
    holder.replaceChildren(compare(spans.traces[trace], client, choice));
  };
  show();
  return el("div", {},
    split(call),
    choices.length > 0 && el("p", { style: { "margin-bottom": "8px" } }, el("label", {}, "beside ", choose)),
    el("div", { class: "scroll" }, holder));
}

/** The call of another example that does the same. */
function twinOf(call, cell) {
  const method = callName(call);
  const usable = cell.calls.filter((other) => other.client);
  return usable.find((other) => callName(other) === method) ?? usable[0];
}

/** Before the server, in the server, after it; two clocks may disagree, and then only the whole is told. */
function parts(call) {
  const [trace, client] = call.client;
  const all = spans.traces[trace];
  const total = all.durations[client];
  const answer = call.server ?? call.elsewhere;
  if (!answer) return { total };
  const [other, server] = answer;
  const there = spans.traces[other];
  const before = Number(there.began - all.began) + there.starts[server] - all.starts[client];
  const inside = there.durations[server];
  const after = total - before - inside;
  return before < 0 || after < 0 ? { total, inside } : { total, before, inside, after };
}

/** When it was sent, and what the wire adds to the server's time. */
function wireSays({ wire, server }, inside) {
  const [after, took, sent] = wire;
  const times = sent > 1 ? `, sent ${sent} times` : "";
  const way = server && took >= inside ? `, ${duration(took - inside)} of it outside the server` : "";
  return [el("li", {}, "wire ", el("b", {}, duration(took)), times), el("li", { class: "soft" }, `sent ${duration(after)} after the call began${way}`)];
}

function split(call) {
  const { total, before, inside, after } = parts(call);
  const fits = before !== undefined && total > 0;
  const track = el("div", { class: "track", "aria-hidden": "true" },
    el("div", { class: "client", style: { position: "absolute", inset: 0, "border-radius": "4px" } }),
    call.wire && total > 0 && el("div", { class: "wire", style: { left: percent(call.wire[0] / total), width: percent(call.wire[1] / total) } }),
    fits && el("div", { class: call.server ? "server" : "astray", style: { left: percent(before / total), width: percent(inside / total) } }));
  const says = [
    el("li", {}, "client ", el("b", {}, duration(total))),
    call.wire && wireSays(call, inside),
    inside !== undefined && el("li", {}, "server ", el("b", {}, duration(inside))),
    fits && el("li", { class: "soft" }, `${duration(before)} before it, ${duration(after)} after it`),
    inside !== undefined && !fits && el("li", { class: "warn" }, "the clocks of client and server disagree"),
    !call.server && el("li", { class: "bad" }, call.elsewhere ? "✕ the server's span is in another trace" : "✕ no server span below it"),
  ];
  return el("div", { class: "split" }, track, el("ul", {}, says));
}

/** Two spans as one table; the rows in which they differ are marked. */
function compare(leftTrace, left, choice) {
  const right = choice && { trace: spans.traces[choice.place[0]], span: choice.place[1] };
  const sameKind = choice?.other === "client";
  const head = (trace, span, whose) => el("th", { scope: "col" }, whose, el("small", {}, name(trace.service(span))));
  const rows = [
    group("span"),
    ...basics(leftTrace, left).map(([key, value], at) => {
      const other = right && { value: basics(right.trace, right.span)[at][1] };
      const marked = other && other.value !== value && (sameKind ? ["name", "kind", "status"] : ["trace id"]).includes(key);
      return row(key, marked, { value }, other);
    }),
    ...paired("attributes", leftTrace.attributesOf(left), right?.trace.attributesOf(right.span), sameKind),
    ...paired("resource", leftTrace.resourceOf(left), right?.trace.resourceOf(right.span), false),
  ];
  return el("table", { class: "compare" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "visually-hidden" }, "what")),
      head(leftTrace, left, "this call"), right ? head(right.trace, right.span, choice.label) : null)),
    el("tbody", {}, rows));
}

const group = (title) => el("tr", { class: "group" }, el("th", { colspan: 3, scope: "colgroup" }, title));

function basics(trace, span) {
  return [
    ["name", trace.name(span)],
    ["kind", trace.kinds[span] || "unspecified"],
    ["status", ["unset", "OK", "ERROR"][trace.statuses[span]] + (trace.messages[span] === undefined ? "" : `: ${trace.store.strings[trace.messages[span]]}`)],
    ["scope", trace.store.strings[trace.scopes[span]]],
    ["trace id", trace.id],
    ["start", `+${duration(trace.starts[span])}`],
    ["duration", duration(trace.durations[span])],
  ];
}

/** Attributes of two spans by what they mean: old and new names of one thing stand in one row. */
function paired(title, left, right, strict) {
  const meanings = new Map();
  const put = (side, all) => all.forEach((attribute) => {
    const meaning = spans.meaning(attribute.key);
    meanings.set(meaning, { ...meanings.get(meaning), [side]: attribute });
  });
  put("left", left);
  put("right", right ?? []);
  const order = [...meanings].sort(([, a], [, b]) => (a.left ?? a.right).key.localeCompare((b.left ?? b.right).key));
  const rows = order.map(([, pair]) => {
    const keys = [...new Set([pair.left?.key, pair.right?.key].filter(Boolean))];
    return compareRow(keys.join(" → "), pair.left, right && (pair.right ?? null), strict);
  });
  return rows.length > 0 ? [group(title), ...rows] : [];
}

/** Values that are there on both sides and aren't equal differ; where `strict`, so does one that is missing. */
function compareRow(label, left, right, strict) {
  const renamed = label.includes(" → ");
  const unlike = left && right && (left.value !== right.value || left.type !== right.type);
  const missing = right !== undefined && !(left && right);
  return row(label, renamed || unlike || (strict && missing), left, right, renamed && "renamed");
}

/** One row; `right` is undefined where nothing is beside, and null where it isn't there. */
function row(label, differs, left, right, remark) {
  const show = (side) => el("td", {}, side
    ? [el("bdi", {}, side.value), side.type && side.type !== "string" && el("span", { class: "type" }, side.type)]
    : el("span", { class: "none" }, "–"));
  return el("tr", { class: differs ? "differs" : undefined },
    el("th", { scope: "row" },
      differs && el("span", { class: "sign-differs" }, "≠", el("span", { class: "visually-hidden" }, " differs: ")),
      name(label), remark && el("span", { class: "soft" }, ` (${remark})`)),
    show(left), right !== undefined && show(right));
}
