// Search in the spans of all waterfalls, by name or attribute.

const search = { text: "", hits: [], at: -1, input: null, count: null };

/** Which texts hold `wanted`, by their places. */
function textsWith(wanted) {
  const small = wanted.toLowerCase();
  return spans.strings.map((text) => text.toLowerCase().includes(small));
}

/** `key=value` looks at attributes alone; anything else at names, services, keys and values. */
function matcher(text) {
  const equals = text.indexOf("=");
  if (equals > 0) {
    const keys = textsWith(text.slice(0, equals).trim());
    const values = textsWith(text.slice(equals + 1).trim());
    return (trace, i) => has(trace.attributes[i], (key, value) => keys[key] && values[value]);
  }
  const texts = textsWith(text);
  return (trace, i) => texts[trace.names[i]] || texts[trace.services[i]] ||
    has(trace.attributes[i], (key, value) => texts[key] || texts[value]) || trace.ids[i] === text ||
    trace.logs?.[i]?.some((line) => texts[line.at(-1)]);
}

function has(flat, wanted) {
  for (let at = 0; at < flat.length; at += 3) if (wanted(flat[at], flat[at + 1])) return true;
  return false;
}

function find(text) {
  search.text = text;
  search.hits = [];
  search.at = -1;
  const matches = text && matcher(text);
  for (const waterfall of waterfalls.all) {
    waterfall.matches = null;
    if (!matches) continue;
    waterfall.matches = new Set();
    for (let i = 0; i < waterfall.trace.length; i++) {
      if (!matches(waterfall.trace, i)) continue;
      waterfall.matches.add(i);
      search.hits.push({ waterfall, span: i });
    }
  }
  tellHits();
  waterfalls.redraw();
}

function tellHits() {
  const { text, hits, at, count } = search;
  count.textContent = !text ? "" : hits.length === 0 ? "nothing found" : at < 0 ? plural(hits.length, "span") : `${at + 1} of ${hits.length}`;
}

function nextHit(by) {
  const { hits } = search;
  if (hits.length === 0) return;
  search.at = search.at < 0 ? (by > 0 ? 0 : hits.length - 1) : (search.at + by + hits.length) % hits.length;
  const { waterfall, span } = hits[search.at];
  tellHits();
  waterfall.reveal(span);
  waterfall.bringToSight();
}
