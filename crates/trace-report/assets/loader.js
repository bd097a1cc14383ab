// Unpacks the page's style and program and adds both to it. The page's policy allows these two texts alone.
"use strict";

/** What a block of the page holds, as a `Response`. */
globalThis.unpack = (id) => {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
};

/** Whatever happens, the verdict is there to be read. */
globalThis.giveUp = (error) => {
  const text = new DOMParser().parseFromString(document.querySelector("noscript").textContent, "text/html").body.textContent;
  const [main, why, verdict] = ["main", "p", "pre"].map((tag) => document.createElement(tag));
  why.textContent = `This browser could not draw the page: ${error}`;
  verdict.textContent = text;
  main.append(why, verdict);
  document.body.prepend(main);
};

const load = async () => {
  for (const [id, tag, to] of [["style", "style", document.head], ["program", "script", document.body]]) {
    const element = document.createElement(tag);
    if (tag === "script") element.type = "module";
    element.textContent = await unpack(id).text();
    to.append(element);
  }
};

// A program that was added late gets its errors told here and nowhere else.
load().catch((error) => {
  giveUp(error);
  throw error;
});
