//! What may differ between two clean runs: ids, the order of records, how many polls, the time of day, a request sent twice.

use std::collections::HashMap;

use serde_json::Value;

use crate::capture::{Capture, Children};
use crate::random::Random;

/// A clean capture made over in ways that mean nothing.
#[must_use]
pub fn variation(capture: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed, "variation", "");
    let mut capture = Capture::parse(capture);
    let changes: [fn(&mut Capture, &mut Random); 8] = [
        drop_examples,
        polls,
        other_ids,
        shift,
        shuffle_attributes,
        numbers,
        spread,
        send_again,
    ];
    for change in changes {
        if random.below(2) == 0 {
            change(&mut capture, &mut random);
        }
    }
    capture.bytes()
}

/// Leaves one to all of the examples.
fn drop_examples(capture: &mut Capture, random: &mut Random) {
    let mut traces: Vec<String> = Vec::new();
    for entry in &capture.spans {
        if entry.text("name") == "test_milvus_otel" {
            traces.push(entry.text("traceId").to_owned());
        }
    }
    let kept = random.below(traces.len().max(1));
    let gone: Vec<String> = traces
        .iter()
        .filter(|&trace| *trace != traces[kept] && random.below(2) == 0)
        .cloned()
        .collect();
    capture
        .spans
        .retain(|entry| gone.iter().all(|trace| trace != entry.text("traceId")));
}

fn is_poll(name: &str) -> bool {
    ["GetLoadState", "GetLoadingProgress"]
        .iter()
        .any(|method| name.ends_with(method))
}

/// Takes out polls, but never the last one of a trace, or makes more of them.
fn polls(capture: &mut Capture, random: &mut Random) {
    let children = capture.children();
    let is_call = |index: &usize| {
        let entry = &capture.spans[*index];
        is_poll(entry.text("name")) && entry.service() == "milvus-client"
    };
    let calls: Vec<usize> = (0..capture.spans.len()).filter(is_call).collect();
    let mut left: HashMap<String, usize> = HashMap::new();
    for &call in &calls {
        *left
            .entry(capture.spans[call].text("traceId").to_owned())
            .or_default() += 1;
    }
    let mut gone = Vec::new();
    for &call in &calls {
        let entry = &capture.spans[call];
        let left = left.entry(entry.text("traceId").to_owned()).or_default();
        if *left > 1 && random.below(3) == 0 {
            *left -= 1;
            gone.extend(capture.below(&children, call));
        } else if random.below(4) == 0 {
            again(capture, call, &children, random);
        }
    }
    capture.remove(&gone);
}

/// Makes a poll once more, if there is time for it before the next call.
fn again(capture: &mut Capture, call: usize, children: &Children, random: &mut Random) {
    let entry = &capture.spans[call];
    let siblings = &children[&(
        entry.text("traceId").to_owned(),
        entry.text("parentSpanId").to_owned(),
    )];
    let time = |index: usize, key: &str| capture.spans[index].time(key);
    let (start, end) = (
        time(call, "startTimeUnixNano"),
        time(call, "endTimeUnixNano"),
    );
    let next = siblings
        .iter()
        .map(|&index| time(index, "startTimeUnixNano"))
        .filter(|&other| other > start)
        .min();
    let length = end - start;
    if next.is_none_or(|next| next < end + 3 * length) {
        return;
    }
    let whole = capture.below(children, call);
    let mut ids: HashMap<String, String> = HashMap::new();
    for &index in &whole {
        ids.insert(
            capture.spans[index].text("spanId").to_owned(),
            format!("{:016x}", random.next() | 1),
        );
    }
    for index in whole {
        let mut entry = capture.spans[index].clone();
        for key in ["spanId", "parentSpanId"] {
            if let Some(id) = ids.get(entry.text(key)).cloned() {
                entry.set(key, id);
            }
        }
        entry.shift(i64::try_from(2 * length).unwrap_or(0));
        capture.spans.push(entry);
    }
}

fn other_ids(capture: &mut Capture, random: &mut Random) {
    let mut traces: HashMap<String, String> = HashMap::new();
    let mut spans: HashMap<String, String> = HashMap::new();
    let upper = random.below(4) == 0;
    let mut made = |known: &mut HashMap<String, String>, id: &str, halves: usize| {
        let new = known.entry(id.to_owned()).or_insert_with(|| {
            let id: String = (0..halves)
                .map(|_| format!("{:016x}", random.next() | 1))
                .collect();
            if upper { id.to_uppercase() } else { id }
        });
        new.clone()
    };
    for entry in &mut capture.spans {
        let trace = made(&mut traces, entry.text("traceId"), 2);
        entry.set("traceId", trace);
        for key in ["spanId", "parentSpanId"] {
            if !entry.text(key).is_empty() {
                let id = made(&mut spans, entry.text(key), 1);
                entry.set(key, id);
            }
        }
    }
}

/// Up to a year to either side; events keep their own times, which nobody compares.
fn shift(capture: &mut Capture, random: &mut Random) {
    const YEAR_NS: usize = 31_536_000_000_000_000;
    let by = i64::try_from(random.below(2 * YEAR_NS)).unwrap_or(0) - YEAR_NS as i64;
    capture.spans.iter_mut().for_each(|entry| entry.shift(by));
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}

fn shuffle_attributes(capture: &mut Capture, random: &mut Random) {
    for entry in &mut capture.spans {
        shuffle(entry.attributes(), random);
        if random.below(8) == 0 {
            shuffle(entry.resource_attributes(), random);
        }
    }
}

/// 64-bit numbers as numbers.
fn numbers(capture: &mut Capture, random: &mut Random) {
    for entry in &mut capture.spans {
        if random.below(2) == 0 {
            continue;
        }
        for pair in entry.attributes() {
            if let Some(number) = pair["value"]["intValue"]
                .as_str()
                .and_then(|text| text.parse::<i64>().ok())
            {
                pair["value"]["intValue"] = Value::from(number);
            }
        }
    }
}

/// Other requests, in another order.
fn spread(capture: &mut Capture, random: &mut Random) {
    let lines = 1 + random.below(200);
    for entry in &mut capture.spans {
        entry.line = random.below(lines);
    }
    shuffle(&mut capture.spans, random);
    capture.spans.sort_by_key(|entry| entry.line);
}

/// A request whose answer was lost is sent again.
fn send_again(capture: &mut Capture, random: &mut Random) {
    let lines: Vec<usize> = capture.spans.iter().map(|entry| entry.line).collect();
    let Some(&line) = random.pick(&lines) else {
        return;
    };
    let last = lines.iter().copied().max().unwrap_or(0);
    let mut copies: Vec<_> = capture
        .spans
        .iter()
        .filter(|entry| entry.line == line)
        .cloned()
        .collect();
    copies.iter_mut().for_each(|entry| entry.line = last + 1);
    capture.spans.extend(copies);
}
