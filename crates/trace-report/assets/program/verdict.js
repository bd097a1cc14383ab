// The top of the page: what was found, in a sentence, and what is wrong, worst first.

const SEALS = { consistent: "✓", inconsistent: "✕", "could-not-run": "!" };
const OUTCOMES = {
  pass: ["good", "✓", "passes"],
  "expected-divergence": ["known", "~", "as expected"],
  fail: ["error", "✕", "fails"],
  "could-not-run": ["warning", "!", "did not run"],
};
const SEVERITIES = { error: ["✕", "error"], warning: ["!", "warning"], info: ["i", "note"] };

function tag(kind, sign, words) {
  return el("span", { class: `tag ${kind}` }, el("span", { "aria-hidden": "true" }, sign), words);
}

function story() {
  const names = (wanted) => report.examples.filter(wanted).map((example) => example.name);
  const failing = names((example) => example.outcome === "fail");
  const fine = names((example) => example.outcome === "pass" || example.outcome === "expected-divergence");
  const agree = fine.length === 1 ? "does as it should" : "tell the same story";
  if (report.verdict === "could-not-run") return "Nothing could be judged.";
  if (failing.length === 0 && report.verdict === "consistent") {
    if (fine.length > 1) return `All ${fine.length} examples tell the same story.`;
    return `${list(fine) || "No example"} ${agree}.`;
  }
  if (failing.length === 0) return "The examples agree; what is wrong is the whole run's.";
  if (fine.length === 0) return failing.length === 1 ? `${failing[0]} fails.` : `None of ${list(failing)} passes.`;
  return `${list(failing)} ${failing.length === 1 ? "tells" : "tell"} a different story; ${list(fine)} ${agree}.`;
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
    ["found", list(counts) || "nothing wrong"],
    ["known and expected", report.expected.length > 0 && plural(report.expected.length, "divergence")],
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
    report.steps.length > 0 && report.examples.length > 1 && el("p", { class: "about" },
      "Each example is the same small Milvus program in another language. It was traced while it ran, and this page holds ",
      "what it sent: each call of the client should have the server's work below it, in one trace, under the same names."));
}

const cellLink = (example, step) => `#${encodeURIComponent(example)}/${encodeURIComponent(step)}`;
const spanLink = (trace, span) => `#~${trace}/${span}`;

function findingCard(finding) {
  const [sign, noun] = SEVERITIES[finding.severity];
  const step = report.steps.find((row) => row.name === finding.step);
  const where = [
    finding.example !== null && step?.cells[finding.example] &&
      el("a", { href: cellLink(finding.example_name, finding.step) }, "open the cell ", name(`${finding.example_name} / ${finding.step}`)),
    finding.span && el("a", { href: spanLink(finding.trace_id, finding.span_id) }, "show the span"),
    !finding.span && finding.trace !== null && el("a", { href: spanLink(finding.trace_id, "") }, "show the trace"),
    finding.example !== null && report.examples[finding.example].failed && el("a", { href: "#output" }, "read its output"),
    finding.input_line !== null && el("span", {}, `line ${finding.input_line} of the input`),
  ];
  return el("li", { class: `panel finding ${finding.severity}` },
    el("h3", {},
      tag(finding.severity, sign, noun),
      el("code", {}, finding.rule),
      finding.example_name && el("span", {}, "in ", name(finding.example_name)),
      finding.step && el("span", { class: "soft" }, "step ", name(finding.step)),
      finding.count > 1 && el("span", { class: "soft" }, `in ${finding.count.toLocaleString("en")} places`)),
    el("p", { class: "message" }, el("bdi", {}, sentence(finding.message))),
    finding.hint && el("p", { class: "hint" }, el("b", {}, "What to do"), el("bdi", {}, sentence(finding.hint))),
    el("div", { class: "where" }, where),
    report.rules[finding.rule] && el("details", { class: "why" },
      el("summary", {}, "What this means, its usual causes and its cure"), el("div", {}, article(report.rules[finding.rule]))));
}

/** All findings; many are opened on demand. */
function findingsSection() {
  const SHOWN = 6;
  const findings = report.findings.filter((finding) => finding.severity !== "info");
  const notes = report.findings.filter((finding) => finding.severity === "info");
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
    el("header", {}, el("h2", { id: "findings-title" }, "What was found"), findings.length > 1 && el("p", {}, "The worst first.")),
    findings.length > 0 ? cards : el("p", {}, tag("good", "✓", "nothing wrong")),
    more && el("p", { class: "after" }, more),
    notes.length > 0 && el("details", { class: "after notes" },
      el("summary", {}, plural(notes.length, "note"), el("span", { class: "soft" }, ": differences that nobody has to do anything about")),
      el("ul", { class: "findings" }, notes.map(findingCard))));
}

function expectedSection() {
  if (report.expected.length === 0) return null;
  return el("section", { id: "expected", "aria-labelledby": "expected-title" },
    el("header", {}, el("h2", { id: "expected-title" }, "Expected divergences"),
      el("p", {}, "Differences that the contract declares, each with its reason. One that no longer shows is an error.")),
    el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-labelledby": "expected-title" },
      el("table", {},
        el("thead", {}, el("tr", {}, ["examples", "rule", "what", "why"].map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, report.expected.map((known) => el("tr", {},
          el("th", { scope: "row" }, name(list(known.examples))),
          el("td", {}, el("code", {}, known.rule)),
          el("td", {}, el("code", {}, name(known.subject)), el("br"), el("span", { class: "soft mono" }, name(known.scope))),
          el("td", {}, el("bdi", {}, sentence(known.reason)))))))));
}
