// Elements, and numbers as people read them. Text from a trace becomes a text node and nothing else.

/** An element: `props` are attributes, `on…` listeners, `class`, and `style` as an object; children are nodes or text. */
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, to] of Object.entries(value)) node.style.setProperty(name, to);
    else node.setAttribute(key === "class" ? "class" : key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** A sentence in which what stands between backticks is code. */
function sentence(text) {
  const parts = text.split("`");
  if (parts.length % 2 === 0) return [text];
  return parts.map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

/** A page about a rule: its headings, lists and paragraphs; the first heading and the line under it are left out. */
function article(markdown) {
  const blocks = markdown.trim().split(/\n{2,}/).slice(2);
  return blocks.map((block) => {
    if (block.startsWith("#")) return el("h4", {}, block.replace(/^#+ /, ""));
    if (block.startsWith("- ")) return el("ul", {}, block.slice(2).split(/\n- /).map((item) => el("li", {}, marked(item))));
    return el("p", {}, marked(block));
  });
}

/** Text with `code`, **strong** and *emphasised* parts. */
function marked(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)/).map((part) => {
    if (part.startsWith("`")) return el("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return el("b", {}, part.slice(2, -2));
    if (part.length > 2 && part.startsWith("*")) return el("em", {}, part.slice(1, -1));
    return part;
  });
}

/** A long name that may break between its words, and nowhere else. */
function breakable(text) {
  const words = text.split(/(?<=[a-z0-9])(?=[A-Z])|(?<=[_./-])/);
  return el("bdi", { class: "breakable" }, words.flatMap((word, at) => (at > 0 ? [el("wbr"), word] : [word])));
}

/** A name from outside, kept to itself whatever direction it is written in. */
const name = (text) => el("bdi", {}, text);

/** A button that copies what `text` returns; where the browser refuses, the text is shown to be copied by hand. */
function copyButton(words, text) {
  const button = el("button", {
    type: "button", class: "copy",
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(text());
        button.textContent = "copied";
        setTimeout(() => { button.textContent = words; }, 2000);
      } catch {
        const field = el("textarea", { readonly: true, rows: 6, "aria-label": words }, text());
        button.replaceWith(field);
        field.select();
      }
    },
  }, words);
  return button;
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** Three digits: 850 ns, 12.3 µs, 4.07 ms, 1.23 s. */
function duration(ns) {
  const [unit, size] = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]].find(([, least]) => ns >= least) ?? ["ns", 1];
  const value = ns / size;
  const digits = unit === "ns" || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

function seconds(value) {
  if (value < 120) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function bytes(count) {
  const [unit, size] = count >= 1e6 ? ["MB", 1e6] : count >= 1e3 ? ["kB", 1e3] : ["bytes", 1];
  return `${(count / size).toFixed(size === 1 ? 0 : 1)} ${unit}`;
}

const list = (items) => (items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`);

const percent = (share) => `${(share * 100).toFixed(3)}%`;

/** So that what comes many times before the next frame is done once. */
function once(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}
