import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, open, PHONE } from "../browser.js";

const EXAMPLES = ["py", "go", "node", "java", "rust"];
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** A test in a page of its own, that must have been quiet in the end. */
function inPage(title, name, options, body) {
  test(title, async () => {
    const { page, context, close } = await open(browser, name, options);
    await body(page, context);
    await close();
  });
}

const cells = (page) => page.locator(".cell");
const rows = (page, example) => page.getByRole("tree", { name: `trace of ${example}`, exact: true }).getByRole("treeitem");

for (const name of ["consistent", "context-lost", "example-failed", "could-not-run", "hostile", "no-spans"]) {
  inPage(`${name} opens offline, from a file, without a word on the console`, name, {}, async (page) => {
    await page.getByRole("heading", { level: 1 }).waitFor();
  });
}

inPage("a consistent run says so, and what each example did", "consistent", {}, async (page) => {
  assert.equal(await page.locator("h1").textContent(), "consistent");
  assert.equal(await page.locator(".story").textContent(), "All 5 examples tell the same story.");
  for (const example of EXAMPLES) assert.ok(await page.getByRole("columnheader", { name: example }).first().isVisible());
  assert.ok(await page.getByText("Milvus 2.3.5 embedded").isVisible());
  assert.ok(await page.getByText("2026-11-22 10:15:02 UTC").isVisible());
});

inPage("each operation's time is shown by stages, the examples under one another", "consistent", {}, async (page) => {
  const search = page.locator("#stages details").filter({ hasText: "Search" });
  assert.equal(await search.locator(".stage-row").count(), 5);
  assert.deepEqual(await search.getByRole("columnheader").allTextContents(), ["stage", ...EXAMPLES]);
  assert.ok(await search.getByRole("rowheader", { name: "to the server" }).isVisible());
  const insert = page.locator("#stages details").filter({ hasText: "Insert" });
  assert.equal(await insert.getByRole("table").isVisible(), false);
  await insert.locator("summary").click();
  assert.ok(await insert.getByRole("table").isVisible());
});

inPage("the slowest call of an operation is a flame graph, with what was logged in it", "consistent", {}, async (page) => {
  const flame = page.getByRole("region", { name: "flame graph of the slowest Search" });
  const frames = flame.getByRole("link");
  assert.deepEqual(await frames.allTextContents(), ["Search 11.0 ms", "Search 7.00 ms", "Proxy-Search 6.00 ms"]);
  const widths = await frames.evaluateAll((all) => all.map((frame) => frame.getBoundingClientRect().width));
  assert.ok(Math.abs(widths[2] / widths[0] - 6 / 11) < 0.02, `${widths}`);
  const lines = page.locator("#stages details[open]").getByRole("list", { name: "logged in this call" });
  assert.match(await lines.textContent(), /\+4\.00 ms INFO proxy\/impl\.go:2500: search received/);
  await frames.nth(1).focus();
  await page.keyboard.press("Tab");
  assert.equal(await frames.nth(2).evaluate((frame) => frame === document.activeElement), true);
  await page.keyboard.press("Enter");
  assert.ok((await page.getByRole("region", { name: "the chosen span" }).textContent()).includes("Proxy-Search"));
});

for (const [what, options] of [["a desktop", {}], ["a phone", PHONE]]) {
  inPage(`frames of a flame graph don't lie on one another on ${what}`, "consistent", options, async (page) => {
    const boxes = await page.locator("#stages details[open] .flame a").evaluateAll((all) => all.map((frame) => frame.getBoundingClientRect().toJSON()));
    assert.equal(boxes.length, 3);
    assert.ok(boxes.every((box, at) => at === 0 || box.top >= boxes[at - 1].bottom), JSON.stringify(boxes));
  });
}

inPage("a call's time on the wire lies between the client's and the server's", "witnessed", {}, async (page) => {
  await page.locator("tbody tr").filter({ hasText: "search" }).first().locator(".cell").first().click();
  const split = page.locator(".split").first();
  const says = await split.locator("li").allTextContents();
  assert.deepEqual(says.slice(0, 4), ["client 11.0 ms", "wire 9.00 ms", "sent 500 µs after the call began, 2.00 ms of it outside the server", "server 7.00 ms"]);
  const edges = async (bar) => {
    const { x, width } = await split.locator(`.track .${bar}`).boundingBox();
    return [x, x + width];
  };
  const [client, wire, server] = [await edges("client"), await edges("wire"), await edges("server")];
  assert.ok(client[0] < wire[0] && wire[0] < server[0] && server[1] < wire[1] && wire[1] < client[1], `${client} ${wire} ${server}`);
  assert.ok(await page.locator("#times").getByText("wire 9.00 ms").first().isVisible());
});

inPage("a failing run shows what is wrong, where, why and what to do", "context-lost", {}, async (page) => {
  assert.equal(await page.locator(".story").textContent(), "java fails; py, go, node and rust tell the same story.");
  const finding = page.locator(".finding").first();
  for (const part of ["error", "context-lost", "in java", "17 places", "none of 17 client calls", "pin the agent"]) {
    assert.ok((await finding.textContent()).includes(part), part);
  }
  await finding.getByRole("link", { name: "context-lost" }).click();
  assert.ok(await finding.getByText("the server began a trace of its own: there is").isVisible());
  await finding.getByRole("link", { name: "show the span" }).click();
  assert.ok(await page.getByRole("region", { name: "the chosen span" }).isVisible());
  assert.ok((await page.locator(".span.astray").count()) > 5, "the server's spans are shown where they should have been");
});

inPage("the failing example comes first, and healthy traces are closed", "context-lost", {}, async (page) => {
  const heads = await page.locator(".steps thead th .name").allTextContents();
  assert.deepEqual(heads, ["java", "py", "go", "node", "rust"]);
  const traces = page.locator("article.trace");
  assert.ok((await traces.first().textContent()).includes("java"));
  assert.ok(await rows(page, "java").first().isVisible());
  assert.equal(await rows(page, "py").first().isVisible(), false);
  await page.getByRole("button", { name: "py", exact: true }).click();
  assert.ok(await rows(page, "py").first().isVisible());
});

inPage("every lost call has its server's span in red, those of folded polls together", "context-lost", {}, async (page) => {
  const astray = rows(page, "java").and(page.locator(".astray"));
  // 16 calls: eight single calls, and eight polls in one row.
  assert.equal(await astray.count(), 9);
  assert.ok((await astray.filter({ hasText: "in other traces: GetLoadState" }).textContent()).includes("×8"));
  assert.ok(await page.getByText("16 traces of server spans alone").isVisible());
});

inPage("a finding can be copied, its trace opened, and the next one found", "context-lost", { permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
  const finding = page.locator(".finding").first();
  await finding.getByRole("button", { name: "copy this finding" }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  for (const part of ["error: context-lost in java (17 places)", "hint: the server dropped", "pymilvus 2.5.9", "command: cargo xtask run-all"]) {
    assert.ok(copied.includes(part), copied);
  }
  await page.getByRole("button", { name: "next finding" }).click();
  assert.equal(await finding.evaluate((node) => node === document.activeElement), true);
  await finding.getByRole("link", { name: /^[0-9a-f]{32}$/ }).click();
  assert.match(new URL(page.url()).hash, /^#~[0-9a-f]{32}\/$/);
});

inPage("the page shows the command and the notes", "hostile", {}, async (page) => {
  assert.ok((await page.locator("#verdict .command code").textContent()).startsWith("cargo xtask '"));
  assert.equal(await page.locator(".run-notes li").count(), 1);
});

inPage("every cell opens and closes", "context-lost", {}, async (page) => {
  const count = await cells(page).count();
  assert.equal(count, 35);
  for (let i = 0; i < count; i++) {
    const cell = cells(page).nth(i);
    await cell.click();
    assert.equal(await cell.getAttribute("aria-expanded"), "true");
    assert.equal(await page.locator(".inside").count(), 1, "one is open at a time");
    assert.ok(await page.locator(".inside .compare").isVisible());
    assert.match(new URL(page.url()).hash, /^#(py|go|node|java|rust)\/[a-z_]+$/);
  }
  await page.getByRole("button", { name: "close" }).click();
  assert.equal(await page.locator(".inside").count(), 0);
});

inPage("two spans are side by side, with old and new names of an attribute in one row", "consistent", { hash: "#rust/search" }, async (page) => {
  const inside = page.locator(".inside");
  assert.ok(await inside.getByText("1 call, 1 joined").isVisible());
  await inside.getByRole("combobox").selectOption({ label: "py's client span" });
  const renamed = inside.locator("tr.differs", { hasText: "rpc.system.name → rpc.system" });
  assert.ok((await renamed.textContent()).includes("renamed"));
  const status = await inside.locator("tr.differs", { hasText: "rpc.response.status_code → rpc.grpc.status_code" }).locator("td").allTextContents();
  assert.deepEqual(status, ["OK", "0int"]);
  const name = await inside.locator("tr.differs", { hasText: "name" }).first().locator("td").allTextContents();
  assert.deepEqual(name, ["milvus.proto.milvus.MilvusService/Search", "/milvus.proto.milvus.MilvusService/Search"]);
});

inPage("a cell with several calls shows each", "consistent", { hash: "#py/create" }, async (page) => {
  const calls = page.getByRole("group", { name: "calls of this step" }).getByRole("button");
  assert.deepEqual(await calls.allTextContents(), ["✓ CreateCollection", "✓ CreateIndex", "✓ DescribeIndex", "✓ LoadCollection"]);
  await calls.nth(2).click();
  assert.equal(new URL(page.url()).hash, "#py/create/2");
  assert.ok((await page.locator(".compare td").first().textContent()).endsWith("/DescribeIndex"));
});

inPage("a link opens a cell, and Back leaves it", "consistent", { hash: "#java/insert" }, async (page) => {
  assert.ok(await page.getByRole("region", { name: "java / insert" }).isVisible());
  await page.getByRole("button", { name: "java, search" }).click();
  assert.ok(await page.getByRole("region", { name: "java / search" }).isVisible());
  await page.goBack();
  assert.ok(await page.getByRole("region", { name: "java / insert" }).isVisible());
  await page.getByRole("link", { name: "show in the waterfall" }).click();
  assert.ok((await page.getByRole("region", { name: "the chosen span" }).textContent()).includes("/Insert"));
  assert.match(new URL(page.url()).hash, /^#~[0-9a-f]{32}\/[0-9a-f]{16}$/);
  await page.getByRole("link", { name: "its cell" }).click();
  assert.ok(await page.getByRole("region", { name: "java / insert" }).isVisible());
});

inPage("the keyboard moves in the table", "consistent", {}, async (page) => {
  await page.getByRole("button", { name: "py, connect" }).focus();
  for (const key of ["ArrowRight", "ArrowDown", "ArrowDown", "Enter"]) await page.keyboard.press(key);
  // `drop_existing` has no cells, so the down key skips it.
  assert.equal(new URL(page.url()).hash, "#go/create");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".inside").count(), 0);
  assert.equal(await page.evaluate(() => document.activeElement.textContent.startsWith("go, create")), true);
});

inPage("polls are one row, and the server's work is folded", "consistent", {}, async (page) => {
  const polls = rows(page, "py").filter({ hasText: "GetLoadingProgress" });
  assert.equal(await polls.count(), 1);
  assert.ok((await polls.textContent()).includes("×14"));
  assert.equal(await rows(page, "py").filter({ hasText: "Proxy-Insert" }).count(), 0);
  await rows(page, "py").filter({ hasText: "Insert" }).locator(".caret").click();
  await rows(page, "py").filter({ hasText: "Proxy-Insert" }).waitFor();
  const before = await rows(page, "py").count();
  await polls.locator(".caret").click();
  assert.ok((await rows(page, "py").count()) > before);
  await page.getByRole("button", { name: "fold all traces", exact: true }).click();
  assert.equal(await rows(page, "py").filter({ hasText: "Proxy-Insert" }).count(), 0);
  assert.equal(await polls.count(), 1);
});

inPage("the keyboard moves in a trace", "consistent", {}, async (page) => {
  const tree = page.getByRole("tree", { name: "trace of go" });
  const current = tree.locator('[aria-selected="true"]');
  await tree.focus();
  for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
  assert.ok((await current.textContent()).includes("Proxy-Connect"));
  assert.equal(await current.getAttribute("aria-level"), "4");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await current.getAttribute("aria-expanded"), "false");
  await page.keyboard.press("Enter");
  assert.ok(await page.getByRole("region", { name: "the chosen span" }).isVisible());
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("region", { name: "the chosen span" }).count(), 0);
  await page.keyboard.press("End");
  assert.ok((await current.textContent()).includes("DropCollection"));
});

inPage("search finds by name and by attribute, and shows what was folded", "consistent", {}, async (page) => {
  const search = page.getByRole("searchbox");
  const told = page.getByRole("search").getByRole("status");
  await page.keyboard.press("/");
  await page.keyboard.type("proxy-search");
  assert.equal(await told.textContent(), "5 spans");
  await page.keyboard.press("Enter");
  assert.equal(await told.textContent(), "1 of 5");
  assert.ok(await rows(page, "py").filter({ hasText: "Proxy-Search" }).isVisible());
  await page.keyboard.press("Shift+Enter");
  assert.equal(await told.textContent(), "5 of 5");
  await search.fill("rpc.method=Insert");
  assert.equal(await told.textContent(), "5 spans");
  await search.fill("rpc.system.name=grpc");
  assert.match(await told.textContent(), /^\d+ spans$/);
  await search.fill("there is no such thing");
  assert.equal(await told.textContent(), "nothing found");
  await page.keyboard.press("Escape");
  assert.equal(await told.textContent(), "");
});

inPage("log lines lie at their spans, by level", "logs", {}, async (page) => {
  const row = (text) => rows(page, "py").filter({ hasText: text });
  const badge = (text) => row(text).locator(".times", { hasText: /^1 log$/ });
  const chosen = page.getByRole("region", { name: "the chosen span" });
  assert.equal(await badge("test_milvus_otel").count(), 1);
  const folded = row("/Connect");
  assert.equal(await badge("/Connect").count(), 1, "a folded call has the lines of the spans below it");
  assert.equal(await folded.locator(".logged.warn").count(), 1);
  const bars = await bar(page, "py", "/Connect");
  const mark = await folded.locator(".logged").boundingBox();
  assert.ok(bars.from <= mark.x && mark.x <= bars.to, "the mark lies in the call");
  await folded.locator(".name").click();
  assert.match(await chosen.textContent(), /WARN proxy\/task\.go:1 slow search: 512 ms/);
  await chosen.locator(".logs a").click();
  assert.match(await chosen.locator("h4").textContent(), /Proxy-Connect/, "the line leads to its span");
  await page.getByLabel("log lines").selectOption("warnings and errors");
  assert.equal(await badge("test_milvus_otel").count(), 0);
  assert.equal(await badge("Proxy-Connect").count(), 1);
  await page.getByRole("searchbox").fill("slow search");
  assert.equal(await page.getByRole("search").getByRole("status").textContent(), "2 spans");
});

inPage("without log lines nothing offers them", "spans-alone", {}, async (page) => {
  assert.equal(await page.getByLabel("log lines").count(), 0);
});

/** Where a bar of the row begins and ends, in pixels. */
async function bar(page, example, text) {
  const drawn = rows(page, example).filter({ hasText: text }).first().locator(".bar").first();
  let box;
  // A row that is drawn anew between the two has no box.
  do {
    await drawn.waitFor();
    box = await drawn.boundingBox();
  } while (box === null);
  return { from: box.x, to: box.x + box.width };
}

inPage("one step is below the other in all traces, at one scale", "consistent", {}, async (page) => {
  for (const method of ["Connect", "Insert", "Search", "DropCollection"]) {
    const bars = await Promise.all(EXAMPLES.map((example) => bar(page, example, method)));
    for (const { from, to } of bars) {
      assert.ok(Math.abs(from - bars[0].from) < 1.5, `${method} begins at ${from} and ${bars[0].from}`);
      assert.ok(Math.abs(to - bars[0].to) < 1.5, `${method} ends at ${to} and ${bars[0].to}`);
    }
  }
  await page.getByRole("button", { name: "by time" }).click();
  const times = await Promise.all(EXAMPLES.map((example) => bar(page, example, "DropCollection")));
  assert.ok(times.some(({ from }) => Math.abs(from - times[0].from) > 3), "by time they are not");
});

inPage("zooming makes bars longer, and the address keeps the zoom", "consistent", {}, async (page, context) => {
  const width = async () => {
    const { from, to } = await bar(page, "py", "Insert");
    return to - from;
  };
  const before = await width();
  await page.locator(".ruler button", { hasText: "insert" }).click();
  await page.waitForFunction(() => location.hash.includes("x="));
  const zoomed = await width();
  assert.ok(zoomed > 4 * before, `${zoomed} after ${before}`);
  const other = await context.newPage();
  await other.goto(page.url());
  await other.locator("html[data-ready]").waitFor({ state: "attached" });
  const there = await bar(other, "py", "Insert");
  assert.ok(Math.abs(there.to - there.from - zoomed) < 1);
  await page.getByRole("button", { name: "fit all" }).click();
  await page.waitForFunction(() => !location.hash.includes("x="));
  assert.ok(Math.abs((await width()) - before) < 1);
});

inPage("dragging over the ruler zooms to the selection", "consistent", {}, async (page) => {
  await page.locator(".ruler").scrollIntoViewIfNeeded();
  const box = await page.locator(".ruler .scale").boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 12);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 12);
  await page.mouse.move(box.x + box.width * 0.7, box.y + 12);
  await page.mouse.up();
  await page.waitForFunction(() => location.hash.includes("x="));
  const [from, to] = new URL(page.url()).hash.match(/x=([\d.]+)-([\d.]+)/).slice(1).map(Number);
  assert.ok(Math.abs(from - 0.5) < 0.01 && Math.abs(to - 0.7) < 0.01, `${from} to ${to}`);
});

inPage("times show the gap, and none where a call has no server span", "context-lost", {}, async (page) => {
  const row = page.getByRole("region", { name: "gaps" }).getByRole("row").filter({ hasText: "wait_loaded" });
  const cells = await row.getByRole("cell").allTextContents();
  assert.equal(cells.length, EXAMPLES.length);
  // The failing example has the first column.
  assert.equal(cells[0], "–");
  assert.match(cells[1], /^430 µsclient 2.34 msserver 1.91 ms$/);
});

inPage("a selected span shows its attributes, resource and times", "consistent", {}, async (page) => {
  await rows(page, "go").filter({ hasText: "Search" }).first().click();
  const told = await page.getByRole("region", { name: "the chosen span" }).textContent();
  for (const part of ["rpc.method", "Search", "service.name", "milvus-client", "client", "11.0 ms"]) assert.ok(told.includes(part), part);
});

inPage("important versions are above the table, and all versions at the end", "consistent", {}, async (page) => {
  const column = page.getByRole("columnheader", { name: "py" }).first();
  assert.ok((await column.textContent()).endsWith("pymilvus 2.5.9"), await column.textContent());
  const all = page.locator("#run details").first();
  await all.locator("summary", { hasText: "2 versions" }).click();
  assert.ok(await all.getByText("opentelemetry-api").isVisible());
});

inPage("the judged spans can be saved", "context-lost", {}, async (page) => {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "save spans" }).click()]);
  assert.equal(download.suggestedFilename(), "capture.jsonl");
  const saved = await readFile(await download.path());
  assert.deepEqual(saved, await readFile(join(process.env.PAGES, "context-lost.jsonl")));
});

inPage("the theme follows the reader and can be switched", "consistent", { colorScheme: "dark" }, async (page) => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.getByRole("button", { name: "theme" }).click();
  assert.notEqual(await ground(), dark);
  await page.getByRole("button", { name: "theme" }).click();
  assert.equal(await ground(), dark);
});

inPage("without JavaScript there is the terminal's text", "context-lost", { javaScriptEnabled: false, ready: false }, async (page) => {
  const text = await page.locator("noscript pre").textContent();
  assert.ok(text.startsWith("inconsistent  1 error") && text.includes("hint: the server dropped"), text);
});

for (const [what, options] of Object.entries({ light: {}, dark: { colorScheme: "dark" }, phone: PHONE })) {
  for (const name of ["consistent", "context-lost", "hostile"]) {
    inPage(`axe finds nothing serious: ${name}, ${what}`, name, { ...options, hash: "#java/search" }, async (page) => {
      await page.getByRole("treeitem").first().click();
      for (const details of await page.locator("details").all()) await details.evaluate((node) => { node.open = true; });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      const told = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join("; ")}`);
      assert.deepEqual(told, []);
    });
  }
}

for (const name of ["consistent", "context-lost", "hostile"]) {
  inPage(`on a phone nothing is wider than the screen: ${name}`, name, PHONE, async (page) => {
    await page.locator(".cell").nth(3).click();
    const { scrollWidth, innerWidth } = await page.evaluate(() => ({ scrollWidth: document.documentElement.scrollWidth, innerWidth }));
    assert.ok(scrollWidth <= innerWidth, `${scrollWidth} in ${innerWidth}`);
  });
}

inPage("hostile text is shown as text", "hostile", {}, async (page) => {
  for (const cell of await cells(page).all()) await cell.click();
  for (const row of (await page.getByRole("treeitem").all()).slice(0, 8)) await row.click();
  await page.getByRole("searchbox").fill("<script>");
  await page.keyboard.press("Enter");
  const found = await page.evaluate(() => ({
    scripts: document.scripts.length,
    images: document.images.length,
    frames: document.querySelectorAll("iframe, object, embed, form").length,
    foreign: document.querySelectorAll('a[href]:not([href^="#"])').length,
    hidden: /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText),
    text: document.body.innerText,
  }));
  assert.deepEqual({ ...found, text: undefined }, { scripts: 7, images: 0, frames: 0, foreign: 0, hidden: false, text: undefined });
  assert.ok(found.text.includes("</script><img src=x onerror=alert(1)>"), "it is shown as it is");
  const { scrollWidth, innerWidth } = await page.evaluate(() => ({ scrollWidth: document.documentElement.scrollWidth, innerWidth }));
  assert.ok(scrollWidth <= innerWidth, "the layout holds");
});

inPage("20,000 spans open and scroll with few rows drawn", "large", {}, async (page) => {
  const opened = await page.evaluate(() => performance.getEntriesByName("ready")[0].startTime);
  await page.getByRole("button", { name: "unfold all traces", exact: true }).click();
  const frames = await page.evaluate(async () => {
    const list = document.querySelector(".rows");
    const median = async (by) => {
      const times = [];
      for (let i = 0; i < 90; i++) {
        const before = performance.now();
        list.scrollTop += by;
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - before);
      }
      return times.sort((a, b) => a - b)[45];
    };
    return { still: await median(0), scrolling: await median(900) };
  });
  const count = await page.evaluate(() => document.querySelectorAll(".span").length);
  const { still, scrolling } = frames;
  console.log(`20,000 spans: open after ${opened.toFixed(0)} ms; a frame takes ${scrolling.toFixed(1)} ms scrolling, ${still.toFixed(1)} ms still; ${count} rows drawn`);
  // The times are only printed, because a busy machine draws slowly.
  assert.ok(count < 200, `${count} rows are drawn`);
});

inPage("100,000 spans open in part, and the page says so", "huge", {}, async (page) => {
  assert.ok(await page.getByText(/^Shown in part: 25,000 of \d\d\d?,\d\d\d spans/).isVisible());
  await page.getByRole("button", { name: "unfold all traces", exact: true }).click();
  assert.ok((await page.locator(".span").count()) > 10);
});
