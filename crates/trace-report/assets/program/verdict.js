// The top of the page: the verdict in a sentence, then the findings, worst first.

const SEALS = { consistent: "✓", inconsistent: "✕", "could-not-run": "!" };
const OUTCOMES = {
  pass: ["good", "✓", "passes"],
  "expected-divergence": ["known", "~", "as expected"],
  fail: ["error", "✕", "fails"],
  "could-not-run": ["warning", "!", "did not run"],
};
const SEVERITIES = { error: ["✕", "error"], warning: ["!", "warning"], info: ["i", "info"] };

function tag(kind, sign, words) {
  return el("span", { class: `tag ${kind}` }, el("span", { "aria-hidden": "true" }, sign), words);
}

/** What one of the judged is called. */
const NOUN = report.subject === "examples" ? "example" : "program";

function joinedOf({ joined, client_rpcs: calls }) {
  return calls > 0 ? `${joined} of ${plural(calls, "client call")} ${joined === 1 ? "has its" : "have their"} server span` : "";
}

function story() {
  const failing = report.examples.filter((example) => example.outcome === "fail");
  const fine = report.examples.filter((example) => example.outcome === "pass" || example.outcome === "expected-divergence");
  const names = (examples) => list(examples.map((example) => example.name));
  const alone = (example, verb) => `${example.name} ${verb}${joinedOf(example) && `: ${joinedOf(example)}`}.`;
  const agree = report.subject === "examples" ? "tell the same story" : "pass";
  if (report.verdict === "could-not-run") return "Nothing could be judged.";
  if (failing.length === 0 && report.verdict === "consistent") {
    if (fine.length > 1) return `All ${fine.length} ${NOUN}s ${agree}.`;
    return fine.length === 1 ? alone(fine[0], "passes") : `No ${NOUN} was judged.`;
  }
  if (failing.length === 0) return `Each ${NOUN} passes; the errors concern the run as a whole.`;
  if (fine.length === 0) return failing.length === 1 ? alone(failing[0], "fails") : `${names(failing)} fail.`;
  const fails = `${names(failing)} ${failing.length === 1 ? "fails" : "fail"}`;
  return `${fails}; ${names(fine)} ${fine.length === 1 ? "passes" : agree}.`;
}

function when() {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(report.run ?? "");
  return parts && `${parts[1]}-${parts[2]}-${parts[3]} ${parts[4]}:${parts[5]}:${parts[6]} UTC`;
}

function verdictSection() {
  const counts = Object.entries(SEVERITIES)
    .map(([severity, [, noun]]) => [report.findings.filter((finding) => finding.severity === severity).length, noun])
    .filter(([count]) => count > 0)
    .map(([count, noun]) => plural(count, noun));
  const facts = [
    ["findings", list(counts) || "none"],
    ["expected", report.expected.length > 0 && plural(report.expected.length, "divergence")],
    ["stack", report.stack],
    ["when", when()],
    ["took", report.wall_seconds !== null && seconds(report.wall_seconds)],
    ["run", report.run],
  ].filter(([, value]) => value);
  return el("section", { id: "verdict", "aria-labelledby": "outcome" },
    el("div", { class: `verdict ${report.verdict}` },
      el("div", { class: "seal", "aria-hidden": "true" }, SEALS[report.verdict]),
      el("div", {},
        el("h1", { id: "outcome" }, report.verdict.replaceAll("-", " ")),
        el("p", { class: "story" }, name(story())))),
    el("dl", { class: "facts" }, facts.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, name(value))))),
    report.command && el("p", { class: "command" }, el("span", { class: "soft" }, "Run again: "), el("code", {}, report.command),
      copyButton("copy", () => report.command)),
    report.subject === "examples" && report.examples.length > 1 && el("p", { class: "about" },
      "Each example is the same small Milvus program in another language. This page holds the spans of one run. In each trace, every ",
      "client call should have the server's span below it, and all languages should use the same names."),
    report.notes.length > 0 && el("ul", { class: "run-notes" }, report.notes.map((note) => el("li", {},
      tag("known", "i", "note"), el("span", {}, note.example !== null && [el("b", {}, name(note.example)), ": "], el("bdi", {}, sentence(note.text)))))));
}

const cellLink = (example, step) => `#${encodeURIComponent(example)}/${encodeURIComponent(step)}`;
const spanLink = (trace, span) => `#~${trace}/${span}`;

/** What somebody else needs to understand the finding, as text for an issue. */
function findingText(finding) {
  const example = report.examples[finding.example];
  const versions = example && [...example.telemetry, ...decisive(example.versions).map((one) => [one, example.versions[one]])];
  const lines = [
    `${SEVERITIES[finding.severity][1]}: ${finding.rule}${finding.example_name ? ` in ${finding.example_name}` : ""}` +
      (finding.step ? `, step ${finding.step}` : "") + (finding.count > 1 ? ` (${finding.count} places)` : ""),
    finding.message,
    finding.trace_id && `at trace ${finding.trace_id}${finding.span_id ? `, span ${finding.span_id}` : ""}`,
    ...finding.actions.map((action, at) => `${at === 0 ? "hint" : "or"}: ${action}`),
    versions?.length > 0 && `versions: ${versions.map((pair) => pair.join(" ")).join(", ")}`,
    example?.command && `program: ${example.command}`,
    report.command && `command: ${report.command}`,
    (report.stack || report.run) && [report.stack, report.run && `run ${report.run}`].filter(Boolean).join(", "),
  ];
  return `${lines.filter(Boolean).join("\n")}\n`;
}

/** Makes links of the trace ids in a text whose spans are on the page. */
function linkTraces(node) {
  for (const code of node.querySelectorAll("code:not(a code)")) {
    const id = code.textContent;
    if (/^[0-9a-f]{32}$/.test(id) && spans.traces.some((trace) => trace.id === id)) {
      code.replaceWith(el("a", { href: spanLink(id, "") }, el("code", {}, id)));
    }
  }
  return node;
}

let cards = 0;

function findingCard(finding) {
  const [sign, noun] = SEVERITIES[finding.severity];
  const page = report.rules[finding.rule];
  const why = page && el("details", { class: "why", id: `why-${cards++}` },
    el("summary", {}, "About this rule: its meaning, usual causes and cure"),
    el("div", {}, article(page), el("p", { class: "soft" }, "In a terminal: ", el("code", {}, `${report.program} explain ${finding.rule}`))));
  const step = report.steps.find((row) => row.name === finding.step);
  const where = [
    finding.example !== null && step?.cells[finding.example] &&
      el("a", { href: cellLink(finding.example_name, finding.step) }, "show the cell ", name(`${finding.example_name} / ${finding.step}`)),
    finding.span && el("a", { href: spanLink(finding.trace_id, finding.span_id) }, "show the span"),
    !finding.span && finding.trace !== null && el("a", { href: spanLink(finding.trace_id, "") }, "show the trace"),
    finding.example !== null && report.examples[finding.example].failed && el("a", { href: "#output" }, "read its output"),
    finding.input_line !== null && el("span", {}, `line ${finding.input_line} of the input`),
  ];
  return linkTraces(el("li", { class: `panel finding ${finding.severity}`, tabindex: "-1" },
    el("h3", {},
      tag(finding.severity, sign, noun),
      why ? el("a", { href: `#${why.id}`, title: "about this rule", onclick: () => { why.open = true; } }, el("code", {}, finding.rule)) : el("code", {}, finding.rule),
      finding.example_name && el("span", {}, "in ", name(finding.example_name)),
      finding.step && el("span", { class: "soft" }, "step ", name(finding.step)),
      finding.count > 1 && el("span", { class: "soft" }, `in ${finding.count.toLocaleString("en")} places`)),
    el("p", { class: "message" }, el("bdi", {}, sentence(finding.message))),
    finding.trace_id && el("p", { class: "place" }, "in trace ", el("code", {}, finding.trace_id)),
    finding.actions.length > 0 && el("div", { class: "hint" }, el("b", {}, "What to do"),
      el("ol", {}, finding.actions.map((action) => el("li", {}, el("bdi", {}, sentence(action)))))),
    el("div", { class: "where" }, where, copyButton("copy this finding", () => findingText(finding))),
    why));
}

/** All findings; many are opened on demand. */
function findingsSection() {
  const SHOWN = 6;
  const findings = report.findings.filter((finding) => finding.severity !== "info");
  const infos = report.findings.filter((finding) => finding.severity === "info");
  if (report.findings.length === 0) return null;
  const cards = el("ul", { class: "findings" }, findings.slice(0, SHOWN).map(findingCard));
  const rest = findings.length - SHOWN;
  const more = rest > 0 && el("button", {
    type: "button",
    onclick: () => {
      more.remove();
      cards.append(...findings.slice(SHOWN).map(findingCard));
      if (report.finding_count > report.findings.length) {
        cards.append(el("li", { class: "soft" }, `and ${plural(report.finding_count - report.findings.length, "finding")} more, in report.json`));
      }
    },
  }, `show ${rest.toLocaleString("en")} more`);
  return el("section", { id: "findings", "aria-labelledby": "findings-title" },
    el("header", {}, el("h2", { id: "findings-title" }, "Findings"), findings.length > 1 && el("p", {}, "The worst first.")),
    findings.length > 0 ? cards : el("p", {}, tag("good", "✓", "no errors or warnings")),
    more && el("p", { class: "after" }, more),
    infos.length > 0 && el("details", { class: "after infos" },
      el("summary", {}, plural(infos.length, "info"), el("span", { class: "soft" }, ": differences that need no action")),
      el("ul", { class: "findings" }, infos.map(findingCard))));
}

function expectedSection() {
  if (report.expected.length === 0) return null;
  return el("section", { id: "expected", "aria-labelledby": "expected-title" },
    el("header", {}, el("h2", { id: "expected-title" }, "Expected divergences"),
      el("p", {}, "Differences that the contract expects, each with its reason. An expected difference that no longer occurs is an error.")),
    el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-labelledby": "expected-title" },
      el("table", { class: "stacks" },
        el("thead", {}, el("tr", {}, [`${NOUN}s`, "rule", "difference", "reason"].map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, report.expected.map((known) => el("tr", {},
          el("th", { scope: "row" }, name(list(known.examples))),
          el("td", {}, el("code", {}, known.rule)),
          el("td", {}, el("code", {}, name(known.subject)), el("br"), el("span", { class: "soft mono" }, name(known.scope))),
          el("td", {}, el("bdi", {}, sentence(known.reason)))))))));
}
