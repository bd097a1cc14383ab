//! Ctrl-C ends a command promptly, wherever it is, and nothing is left. Slow: each point is interrupted thirty times.

mod support;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::{
    Checkout, Processes, Running, ShellExample, alone, latest_run, root,
    skipped_without_tutorial_ports, until, xtask,
};

const ROUNDS: usize = 30;
/// From the signal until no process is left.
const PROMPT: Duration = Duration::from_secs(2);

/// A command at the point where it is to be interrupted.
struct Point {
    running: Running,
    /// The exit codes that are right there; `None` is the signal itself.
    codes: &'static [Option<i32>],
    /// Held as long as the command runs.
    held: Vec<Box<dyn std::any::Any>>,
}

const INTERRUPTED: &[Option<i32>] = &[Some(130)];

impl Point {
    fn of(running: Running, held: impl std::any::Any) -> Self {
        Self {
            running,
            codes: INTERRUPTED,
            held: vec![Box::new(held)],
        }
    }
}

/// Brings a command to a point.
type Reach = fn() -> Point;

/// Interrupts a command at each of `points`, in turn, so that a machine that is busy for a while is no point's alone.
fn check(points: &[(&str, Reach)]) {
    let mut times = vec![Vec::new(); points.len()];
    for _ in 0..ROUNDS {
        for ((name, reach), times) in points.iter().zip(&mut times) {
            let point = reach();
            point.running.signal("-INT");
            let began = Instant::now();
            let finished = point.running.finish();
            let code = finished.code();
            times.push(began.elapsed());
            assert!(
                point.codes.contains(&code),
                "{name}: {code:?}\n{}",
                finished.stderr
            );
            assert_eq!(data_folders(), Vec::<PathBuf>::new(), "{name}");
        }
    }
    let mut table = String::new();
    for ((name, _), times) in points.iter().zip(&mut times) {
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64();
        let _ = writeln!(
            table,
            "{name:<22} median {:.2} s, nine in ten within {:.2} s, the slowest {:.2} s",
            at(50),
            at(90),
            at(100)
        );
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{table}load: {load}");
    let is_prompt = times.iter().flatten().all(|took| *took < PROMPT);
    assert!(is_prompt, "not within {PROMPT:?}:\n{table}load: {load}");
}

/// The folders of servers that a run left.
fn data_folders() -> Vec<PathBuf> {
    let of = |state: PathBuf| {
        let entries = std::fs::read_dir(state.join("milvus/data"));
        entries.into_iter().flatten().flatten()
    };
    let entries = of(root().join("target/milvus-otel")).chain(of(Checkout::kept().state()));
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

const EXAMPLE: &str = "sleeper";

/// A run of an example whose program is `script`, with more lines in its example.toml.
fn run_of(script: &str, more: &str) -> (ShellExample, Running) {
    let example = ShellExample::here(EXAMPLE, script, 600, more);
    let running = example.run_all(&[]).start();
    (example, running)
}

/// Holds the lock `path` and waits until the command that `start` returns waits for it.
fn waiting_for(path: &Path, start: impl FnOnce() -> (Box<dyn std::any::Any>, Running)) -> Point {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
    let lock = File::options().create(true).append(true).open(path);
    let lock = lock.expect("it can be made");
    lock.lock().expect("nobody has it");
    let path = path.canonicalize().expect("it is there");
    let (held, mut running) = start();
    running.until("it waits for the lock", |there| {
        let waits = |(pid, _): &(u32, String)| {
            let files = std::fs::read_dir(format!("/proc/{pid}/fd"));
            let mut files = files.into_iter().flatten().flatten();
            files.any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == path))
        };
        there.0.iter().any(waits).then_some(())
    });
    let mut point = Point::of(running, held);
    point.held.push(Box::new(lock));
    point
}

fn at_process(script: &str, more: &str, process: &str) -> Point {
    let (example, mut running) = run_of(script, more);
    running.until("it is there", |there| there.with(process));
    Point::of(running, example)
}

fn preflight() -> Point {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tool = folder.path().join("tool");
    std::fs::write(&tool, "#!/bin/sh\nexec sleep 601\n").expect("it can be written");
    let made = std::process::Command::new("chmod")
        .arg("+x")
        .arg(&tool)
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let needs = format!("[[needs]]\ncommand = {tool:?}\nget = \"nowhere\"\n");
    let mut point = at_process("true", &needs, "sleep 601");
    point.held.push(Box::new(folder));
    point
}

fn prepare() -> Point {
    let task = "[prepare]\ncommands = [[\"sh\", \"-c\", \"sleep 602 & sleep 602\"]]\n";
    at_process("true", task, "sleep 602")
}

fn prepare_lock() -> Point {
    let lock = root().join("target/milvus-otel/examples").join(EXAMPLE);
    waiting_for(&lock.join("lock"), || {
        let (example, running) = run_of("true", "");
        (Box::new(example), running)
    })
}

fn stack_lock_of_prepare() -> Point {
    let lock = root().join("target/milvus-otel/milvus/lock");
    waiting_for(&lock, || (Box::new(()), xtask(&["prepare"]).start()))
}

fn data_lock() -> Point {
    let lock = root().join("target/milvus-otel/milvus/data/lock");
    waiting_for(&lock, || {
        let (example, running) = run_of("true", "");
        (Box::new(example), running)
    })
}

fn keeper_lock() -> Point {
    let checkout = Checkout::kept();
    let lock = checkout.state().join("stack.lock");
    waiting_for(&lock, || (Box::new(()), checkout.xtask(&["up"]).start()))
}

fn boot() -> Point {
    at_process("sleep 603", "", "milvus run standalone")
}

fn run() -> Point {
    at_process("sleep 604", "", "sleep 604")
}

/// Jaeger ends with the run, so whatever waits to be sent to it isn't waited for.
fn run_with_jaeger() -> Point {
    let example = ShellExample::here(EXAMPLE, "sleep 605", 600, "");
    let mut running = example.run_all(&["--backend", "jaeger"]).start();
    running.until("Milvus's own spans have come", |there| {
        there.with("sleep 605")?;
        let capture = std::fs::metadata(latest_run().join("capture.jsonl")).ok()?;
        (capture.len() > 0).then_some(())
    });
    Point::of(running, example)
}

/// A program that ends without a span is waited for.
fn settle() -> Point {
    let (example, mut running) = run_of("echo under way", "");
    let log = running.until("the example has a log", |there| {
        there.with("milvus run standalone")?;
        let log = latest_run().join("logs/sleeper.log");
        log.is_file().then_some(log)
    });
    running.until("the example has ended", |there| {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        (said.contains("under way") && there.with("under way").is_none()).then_some(())
    });
    Point::of(running, example)
}

/// The number of spans that keep a run busy with its verdict.
const SPANS: u32 = 20_000;
const SPANS_OF_A_REQUEST: u32 = 10_000;

/// Requests with many traces, none of which is an example's.
fn bulk() -> impl Iterator<Item = String> {
    let requests = SPANS / SPANS_OF_A_REQUEST;
    (0..requests).map(|request| {
        let mut spans = Vec::new();
        for number in 0..SPANS_OF_A_REQUEST {
            let id = (u64::from(request) << 32) + u64::from(number) + 1;
            spans.push(format!(
                r#"{{"traceId":"{id:032x}","spanId":"{id:016x}","name":"bulk","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"2"}}"#
            ));
        }
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"bulk"}}}}]}},"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
            spans.join(",")
        )
    })
}

/// A run whose verdict takes long, from the end of its example on.
fn busy_run() -> (Point, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let go = folder.path().join("go");
    // No root span is waited for, because it fails.
    let script = format!("until test -e {}; do sleep 0.1; done; exit 3", go.display());
    let (example, mut running) = run_of(&script, "");
    let (run, address) = running.until("the example runs", |there| {
        there.with("until test -e")?;
        let run = latest_run();
        let manifest = std::fs::read(run.join("manifest.json")).ok()?;
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).ok()?;
        let address = manifest["stack"]["otlp_http"].as_str()?;
        let address = address.strip_prefix("http://")?.to_owned();
        Some((run, address))
    });
    for body in bulk() {
        let mut stream = TcpStream::connect(&address).expect("the capture listens");
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: capture\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    std::fs::write(&go, "").expect("it can be written");
    let mut point = Point::of(running, example);
    point.held.push(Box::new(folder));
    (point, run)
}

fn judge() -> Point {
    let (mut point, run) = busy_run();
    point.running.until("it judges", |_| {
        let log = std::fs::read_to_string(run.join("logs/xtask.log")).ok()?;
        log.contains("the capture ended").then_some(())
    });
    assert!(!run.join("report.json").exists(), "it is being judged");
    point
}

fn report() -> Point {
    let (mut point, run) = busy_run();
    point.running.until("it writes its reports", |_| {
        run.join("junit.xml").exists().then_some(())
    });
    assert!(!run.join("report.html").exists(), "it is being written");
    point
}

/// The verdict was given, and is the exit code.
fn stack_going_down() -> Point {
    let (example, mut running) = run_of("exit 3", "");
    running.until("the verdict is given", |there| {
        there.with("milvus run standalone")?;
        latest_run().join("report.html").exists().then_some(())
    });
    let mut point = Point::of(running, example);
    point.codes = &[Some(1), Some(130)];
    point
}

/// No signal is caught there, so the signal ends it.
fn compare() -> Point {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("bulk.jsonl");
    let text: Vec<String> = bulk().collect();
    std::fs::write(&file, text.join("\n")).expect("it can be written");
    let size = std::fs::metadata(&file).expect("it is there").len();
    let mut running = xtask(&["compare", file.to_str().expect("UTF-8")]).start();
    let pid = running.pid();
    running.until("it has read the file", |_| {
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        let read = io.lines().next()?.strip_prefix("rchar: ")?;
        (read.parse::<u64>().ok()? >= size).then_some(())
    });
    let mut point = Point::of(running, folder);
    point.codes = &[None];
    point
}

/// Interrupts `up`, at the boot of its server.
fn up() -> Point {
    let mut running = Checkout::kept().xtask(&["up"]).start();
    running.until("Milvus starts", |there| there.with("milvus run standalone"));
    Point::of(running, ())
}

#[test]
#[ignore = "interrupts commands 150 times"]
fn slow_an_interruption_is_prompt_before_the_stack_is_up() {
    let _turn = alone();
    check(&[
        ("preflight", preflight),
        ("prepare", prepare),
        ("lock of an example", prepare_lock),
        ("lock of the stack", stack_lock_of_prepare),
        ("lock of the data", data_lock),
        ("compare", compare),
    ]);
}

#[test]
#[ignore = "interrupts ninety runs"]
fn slow_an_interruption_is_prompt_while_the_stack_is_up() {
    let _turn = alone();
    check(&[
        ("start of the stack", boot),
        ("run", run),
        ("settle", settle),
    ]);
}

#[test]
#[ignore = "interrupts thirty runs, and builds Jaeger first"]
fn slow_an_interruption_is_prompt_with_jaeger() {
    let _turn = alone();
    check(&[("run with Jaeger", run_with_jaeger)]);
}

#[test]
#[ignore = "interrupts ninety runs with much to judge"]
fn slow_an_interruption_is_prompt_after_the_programs() {
    let _turn = alone();
    check(&[
        ("judge", judge),
        ("report", report),
        ("down", stack_going_down),
    ]);
}

#[test]
#[ignore = "interrupts ninety commands"]
fn slow_an_interruption_of_up_and_down_is_prompt() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    check(&[("up", up), ("lock of the keeper", keeper_lock)]);

    let checkout = Checkout::kept();
    let mut slowest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let up = checkout.xtask(&["up"]).finish();
        assert!(up.status.success(), "{}", up.stderr);
        let down = checkout.xtask(&["down"]).start();
        let status = format!("/proc/{}/status", down.pid());
        until("it catches SIGINT", || {
            let status = std::fs::read_to_string(&status).ok()?;
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))?;
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            (caught & 0b10 != 0).then_some(())
        });
        down.signal("-INT");
        let began = Instant::now();
        assert_eq!(down.finish().code(), Some(130));
        slowest = slowest.max(began.elapsed());
        // What was interrupted is done by the next one.
        let again = checkout.xtask(&["down"]).finish();
        assert_eq!(again.code(), Some(0), "{}", again.stderr);
        until("nothing of the stack is left", || {
            Processes::of(&up.mark).0.is_empty().then_some(())
        });
        assert_eq!(data_folders(), Vec::<PathBuf>::new());
    }
    println!("down: the slowest of {ROUNDS} took {slowest:?}");
    assert!(slowest < PROMPT, "{slowest:?}");
}
