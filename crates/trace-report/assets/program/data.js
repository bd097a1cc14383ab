// The page's data: the verdict first, then the spans. `unpack` is the loader's.

const report = await unpack("report").json();

/** One trace. A span is an index; parents come before their children. */
class Trace {
  constructor(block, store, index) {
    Object.assign(this, block);
    this.store = store;
    this.index = index;
    this.length = block.ids.length;
    this.began = BigInt(block.began);
    this.parents = new Int32Array(this.length).fill(-1);
    /** The first span after this one that isn't below it. */
    this.ends = new Int32Array(this.length).fill(this.length);
    const open = [];
    for (let i = 0; i < this.length; i++) {
      while (open.length > 0 && this.depths[open.at(-1)] >= this.depths[i]) this.ends[open.pop()] = i;
      this.parents[i] = open.at(-1) ?? -1;
      open.push(i);
    }
    this.logged = Object.entries(block.logs ?? {}).flatMap(([span, lines]) => lines.map(([at, rank, level, source, text]) =>
      ({ span: Number(span), at, rank, level: store.strings[level], source: store.strings[source], text: store.strings[text] })));
    this.took = this.starts.reduce((most, start, i) => Math.max(most, start + this.durations[i]), 0);
    /** By client span: the call it makes in a step. */
    this.calls = new Map();
    /** By span of the client's that calls something: the child that answers. */
    this.answers = new Map();
    for (let i = 0; i < this.length; i++) {
      const parent = this.parents[i];
      const isAnswer = this.kinds[i] === "server" && parent >= 0 && this.kinds[parent] === "client";
      if (isAnswer && this.services[parent] === this.services[0] && !this.answers.has(parent)) this.answers.set(parent, i);
    }
  }

  name(i) { return this.store.strings[this.names[i]]; }
  service(i) { return this.store.strings[this.services[i]]; }
  failed(i) { return this.statuses[i] === 2; }
  hasChildren(i) { return this.ends[i] > i + 1; }
  end(i) { return this.starts[i] + this.durations[i]; }
  nextSibling(i) {
    const next = this.ends[i];
    return next < this.length && this.depths[next] === this.depths[i] && this.parents[next] === this.parents[i] ? next : -1;
  }
  alike(i, j) {
    const fine = (k) => !this.failed(k) && this.missing_parents[k] === undefined;
    return this.names[i] === this.names[j] && this.kinds[i] === this.kinds[j] && this.services[i] === this.services[j] &&
      fine(i) && fine(j);
  }
  /** What was logged in the spans from `first` up to `end`, in order of time. */
  logsBetween(first, end) {
    const all = this.logged.filter(({ span }) => first <= span && span < end);
    return all.sort((a, b) => a.at - b.at);
  }
  /** Key, value and type of each attribute. */
  attributesOf(i) { return triples(this.attributes[i], this.store); }
  resourceOf(i) { return triples(this.store.resources[this.resources[i]], this.store); }
  find(id) { return this.ids.indexOf(id); }
}

function triples(flat, store) {
  const all = [];
  for (let i = 0; i < flat.length; i += 3) {
    all.push({ key: store.strings[flat[i]], value: store.strings[flat[i + 1]], type: store.strings[flat[i + 2]] });
  }
  return all;
}

/** All spans, and which of them make the calls of which cell. */
async function readSpans() {
  const store = await unpack("spans").json();
  const traces = store.traces.map((block, index) => new Trace(block, store, index));
  for (const step of report.steps) {
    step.cells.forEach((cell, example) => cell?.calls.forEach((call, number) => {
      if (!call.client) return;
      const [trace, span] = call.client;
      traces[trace].calls.set(span, { ...call, example, step: step.name, number });
      if (call.server && call.server[0] === trace) traces[trace].answers.set(span, call.server[1]);
    }));
  }
  report.examples.forEach(({ calls }, example) => calls.forEach((call) => {
    if (call.client) traces[call.client[0]].calls.set(call.client[1], { ...call, example });
  }));
  const meanings = new Map();
  for (const [concept, keys] of Object.entries(store.concepts)) {
    for (const key of keys) meanings.set(store.strings[key], concept);
  }
  return { traces, strings: store.strings, meaning: (key) => meanings.get(key) ?? key };
}

/** The spans, once they are read. */
let spans = { traces: [], strings: [], meaning: (key) => key };
