// A Chromium without network. Its pages must log nothing and load nothing.

import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

export const DESKTOP = { viewport: { width: 1320, height: 900 } };
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });

/** The address of a page that the tests were given. */
export const address = (name, hash = "") => pathToFileURL(join(process.env.PAGES, `${name}.html`)).href + hash;

/**
 * Opens a page and waits until it says that it is whole.
 *
 * `close` fails if it wrote to the console, threw, opened a dialog or asked for anything but itself.
 */
export async function open(browser, name, { hash, ready = true, ...options } = {}) {
  const context = await browser.newContext({ ...DESKTOP, reducedMotion: "reduce", ...options });
  await context.setOffline(true);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => complaints.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("dialog", async (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  page.on("request", (request) => {
    const own = [address(name), "blob:", "data:"].some((start) => request.url().startsWith(start));
    if (!own) complaints.push(`request: ${request.url()}`);
  });
  await page.goto(address(name, hash));
  if (ready) await page.locator("html[data-ready]").waitFor({ state: "attached" });
  const close = async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  };
  return { page, context, close };
}
