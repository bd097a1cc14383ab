//! Reads and judges ever larger captures, beside serde_json parsing the same bytes into `opentelemetry-proto`'s types and doing nothing.
//! Then breaks all calls down, with the reasons of each.
//!
//! Times are the process's own on the processor, all threads together, where the system tells them: what else runs on the machine is
//! left out. By the clock it is quicker where there are two cores.
//!
//! `cargo bench -p trace-parity-faults` prints a Markdown table; sizes can be given: `-- 10000 100000`.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use trace_breakdown::{Breakdown, By, groups};
use trace_parity::{Contract, Input, judge, read};
use trace_parity_faults::scaled;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
const SEED: u64 = 20_261_122;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        SIZES.to_vec()
    } else {
        sizes
    };
    let capture = include_bytes!("../../trace-parity/tests/data/five-languages.jsonl");
    println!(
        "| spans | MB | read s | judge s | read and judge, spans/s | by the clock s | opentelemetry-proto s | ratio | peak MiB | break down s | read and break down, ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for size in sizes {
        row(&scaled(capture, size, SEED));
    }
}

fn row(bytes: &[u8]) {
    let contract = Contract::builtin();
    let (began, clock) = (now(), Instant::now());
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    let read_in = now() - began;
    let verdict = judge(&traces, &problems, Some(&contract), None);
    let ours = now() - began;
    let by_the_clock = clock.elapsed();
    let peak = peak_mebibytes();
    let spans = traces.span_count();
    assert_eq!(
        verdict.outcome,
        trace_parity::Outcome::Consistent,
        "{:?}",
        verdict.findings.first()
    );
    drop(verdict);
    let began = now();
    let taken = Breakdown::of(&traces, Some(&contract), None);
    for group in groups(&taken, By::Step, None) {
        black_box(taken.reasons(group.worst()));
        black_box(taken.first_reasons(&group.calls));
    }
    let broken_down = now() - began;
    drop(taken);
    drop(traces);
    let theirs = peer(bytes);
    println!(
        "| {spans} | {:.0} | {:.2} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {peak} | {:.2} | {:.2} |",
        bytes.len() as f64 / 1e6,
        read_in.as_secs_f64(),
        (ours - read_in).as_secs_f64(),
        spans as f64 / ours.as_secs_f64(),
        by_the_clock.as_secs_f64(),
        theirs.as_secs_f64(),
        ours.as_secs_f64() / theirs.as_secs_f64(),
        broken_down.as_secs_f64(),
        (read_in + broken_down).as_secs_f64() / ours.as_secs_f64(),
    );
}

fn peer(bytes: &[u8]) -> Duration {
    let began = now();
    for line in bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let request: ExportTraceServiceRequest =
            serde_json::from_slice(line).expect("the capture is what it reads");
        black_box(request);
    }
    now() - began
}

/// Time on the processor, or by the clock where that isn't known.
fn now() -> Duration {
    /// What the kernel counts in, whatever its own clock.
    const TICKS: u32 = 100;
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the program's name, which may hold anything: user and system time are the 12th and 13th.
    let fields = told.rsplit_once(')').map(|(_, fields)| fields);
    let ticks: Option<u32> = fields.and_then(|fields| {
        let mut times = fields.split_whitespace().skip(11);
        Some(times.next()?.parse::<u32>().ok()? + times.next()?.parse::<u32>().ok()?)
    });
    ticks.map_or_else(
        || BEGAN.elapsed(),
        |ticks| Duration::from_secs(1) * ticks / TICKS,
    )
}

/// The process's high-water mark, the input's bytes included; zero where the system doesn't tell.
fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or_default() / 1024
}
