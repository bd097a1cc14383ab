//! The join while a run goes on: fed line by line as requests arrive, it says which calls still wait for their server span.
//!
//! It owns no clock. A call whose context was lost waits for ever: the caller has a deadline.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::contract::Contract;
use crate::read::{Input, read};
use crate::traces::{Kind, Traces};
use crate::view::examples::{claim_of, owner_of, server_resources};
use crate::view::reader::Reader;

/// Server spans that arrive before their client's span, and parents of the client's spans, are remembered up to this many each.
const REMEMBERED: usize = 65_536;

type SpanKey = ([u8; 16], [u8; 8]);

/// What has arrived of a run.
#[derive(Debug)]
pub struct Settlement {
    contract: Arc<Contract>,
    run: Option<String>,
    /// The only example has the traces that claim no run.
    takes_unclaimed: bool,
    examples: Vec<Arrived>,
    owners: HashMap<[u8; 16], usize>,
    /// Spans below which the server answered.
    answered: HashSet<SpanKey>,
    answered_in_order: VecDeque<SpanKey>,
    /// The client's spans and others that may lie between a call and the server, with their parents.
    parents: HashMap<SpanKey, [u8; 8]>,
    arrivals: u64,
    /// Per late service of the contract.
    late: Vec<Late>,
}

/// The traces that a late service works for.
#[derive(Debug, Default)]
struct Late {
    due: HashSet<[u8; 16]>,
    came: HashSet<[u8; 16]>,
}

#[derive(Debug, Default)]
struct Arrived {
    name: String,
    root_seen: bool,
    seen: HashSet<SpanKey>,
    waiting: HashSet<SpanKey>,
}

/// How far one example has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub name: String,
    /// The root span is there; it is the last that a client exports.
    pub root_seen: bool,
    /// Client RPC spans of the contract's service.
    pub calls: u64,
    /// Those of them that have no server span yet.
    pub waiting: u64,
}

impl Settlement {
    /// Waits for the examples called `expected`, as in `service.instance.id`, of the run called `run`; of any run without it.
    #[must_use]
    pub fn new(contract: Contract, run: Option<&str>, expected: &[&str]) -> Self {
        Settlement {
            late: contract
                .server
                .late
                .iter()
                .map(|_| Late::default())
                .collect(),
            contract: Arc::new(contract),
            run: run.map(str::to_owned),
            takes_unclaimed: false,
            examples: expected
                .iter()
                .map(|&name| Arrived {
                    name: name.to_owned(),
                    ..Arrived::default()
                })
                .collect(),
            owners: HashMap::new(),
            answered: HashSet::new(),
            answered_in_order: VecDeque::new(),
            parents: HashMap::new(),
            arrivals: 0,
        }
    }

    /// Also gives the only example the traces that claim no run: its program may not read `OTEL_RESOURCE_ATTRIBUTES`.
    #[must_use]
    pub fn with_unclaimed(mut self) -> Self {
        self.takes_unclaimed = self.examples.len() == 1;
        self
    }

    /// Takes one line of the capture: an OTLP JSON export request. What can't be read is left to the verdict.
    pub fn feed(&mut self, line: &[u8]) {
        let (traces, _) = read(&[Input {
            label: None,
            bytes: line,
        }]);
        let contract = Arc::clone(&self.contract);
        let servers = server_resources(&traces, &contract);
        let reader = Reader::new(&traces, &contract);
        self.claim(&traces, &servers);
        for index in 0..traces.span_count() as u32 {
            let record = traces.record(index);
            let trace = traces.traces[record.trace as usize].id;
            let owner = self.owners.get(&trace).copied();
            self.arrivals += u64::from(owner.is_some());
            let calls = reader.words(index).calls(&contract.server.rpc_service);
            let key = (trace, record.id);
            if servers[record.resource as usize] {
                self.note_late(
                    trace,
                    traces.span(index).service_name(),
                    reader.words(index).method().filter(|_| calls),
                );
                if calls && record.parent_id != [0; 8] {
                    self.answer((trace, record.parent_id), owner);
                }
                continue;
            }
            let top =
                record.parent_id == [0; 8] || traces.span(index).parent_is_remote() == Some(true);
            if !top {
                self.pass_on(key, record.parent_id, owner);
            }
            let Some(owner) = owner else { continue };
            let example = &mut self.examples[owner];
            example.root_seen |= top;
            if calls
                && record.kind != Kind::Server
                && example.seen.insert(key)
                && !self.answered.contains(&key)
                && reader.explains_absence(index).is_none()
            {
                example.waiting.insert(key);
            }
        }
    }

    /// How far each expected example has arrived, in the order of [`Settlement::new`].
    pub fn status(&self) -> impl Iterator<Item = Progress> {
        self.examples.iter().map(|example| Progress {
            name: example.name.clone(),
            root_seen: example.root_seen,
            calls: example.seen.len() as u64,
            waiting: example.waiting.len() as u64,
        })
    }

    /// Every expected example has its root, and every call its server span.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.examples
            .iter()
            .all(|example| example.root_seen && example.waiting.is_empty())
    }

    /// How long after the last program's end a part of the server may still send its spans; zero where all have come.
    #[must_use]
    pub fn late(&self) -> Duration {
        let is_open = |late: &Late| {
            let mut due = late.due.iter();
            due.any(|trace| self.owners.contains_key(trace) && !late.came.contains(trace))
        };
        let services = self.contract.server.late.iter().zip(&self.late);
        let open = services.filter(|(_, late)| is_open(late));
        let longest = open.map(|(service, _)| service.seconds).max();
        Duration::from_secs(longest.unwrap_or_default())
    }

    /// Rises whenever a span of an example's trace arrives, the server's included: while it stands still, the traces are quiet.
    #[must_use]
    pub fn arrivals(&self) -> u64 {
        self.arrivals
    }

    fn claim(&mut self, traces: &Traces, servers: &[bool]) {
        for record in &traces.spans {
            if servers[record.resource as usize] {
                continue;
            }
            let claim = claim_of(traces, record.resource);
            let names = self.examples.iter().map(|example| example.name.as_str());
            let unclaimed = self.takes_unclaimed && claim.run.is_none();
            let owner = owner_of(&claim, self.run.as_deref(), names).or(unclaimed.then_some(0));
            if let Some(owner) = owner {
                self.owners
                    .insert(traces.traces[record.trace as usize].id, owner);
            }
        }
    }

    fn note_late(&mut self, trace: [u8; 16], service: Option<&str>, method: Option<&str>) {
        for (known, late) in self.contract.server.late.iter().zip(&mut self.late) {
            if service == Some(known.service.as_str()) {
                if late.came.len() < REMEMBERED {
                    late.came.insert(trace);
                }
            } else if method.is_some_and(|method| known.methods.iter().any(|name| name == method))
                && late.due.len() < REMEMBERED
            {
                late.due.insert(trace);
            }
        }
    }

    /// The server answered below `key`, so it answered each call above.
    fn answer(&mut self, key: SpanKey, owner: Option<usize>) {
        /// Layers between a call and the server.
        const LAYERS: usize = 32;
        let mut at = key;
        for _ in 0..LAYERS {
            if let Some(owner) = owner {
                self.examples[owner].waiting.remove(&at);
            }
            self.remember(at);
            match self.parents.get(&at) {
                Some(&parent) => at.1 = parent,
                None => return,
            }
        }
    }

    /// Hands an answer that came before this span on to its parent, or will.
    fn pass_on(&mut self, key: SpanKey, parent: [u8; 8], owner: Option<usize>) {
        if self.parents.len() < REMEMBERED {
            self.parents.insert(key, parent);
        }
        if self.answered.contains(&key) {
            self.answer((key.0, parent), owner);
        }
    }

    fn remember(&mut self, key: SpanKey) {
        if !self.answered.insert(key) {
            return;
        }
        self.answered_in_order.push_back(key);
        if self.answered_in_order.len() > REMEMBERED {
            let oldest = self.answered_in_order.pop_front();
            self.answered.remove(&oldest.unwrap_or(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, Settlement};
    use crate::{Contract, Input, judge, read};

    /// Each example's client calls, as the verdict counts them.
    fn calls_of(bytes: &[u8]) -> Vec<u64> {
        let (traces, problems) = read(&[Input { label: None, bytes }]);
        let verdict = judge(&traces, &problems, Some(&Contract::builtin()), None);
        let calls = verdict.examples.iter().map(|example| example.client_rpcs);
        calls.collect()
    }

    fn fed(lines: &[&[u8]], expected: &[&str]) -> Settlement {
        let mut settlement = Settlement::new(Contract::builtin(), Some("fixture"), expected);
        lines.iter().for_each(|line| settlement.feed(line));
        settlement
    }

    #[test]
    fn a_whole_run_is_complete_whatever_the_order() {
        let capture = include_bytes!("../tests/data/five-languages.jsonl");
        let mut lines: Vec<&[u8]> = capture.split(|&byte| byte == b'\n').collect();
        let expected = ["py", "go", "node", "java", "rust"];
        for _ in 0..2 {
            let settlement = fed(&lines, &expected);
            assert!(settlement.is_complete());
            let calls: Vec<u64> = settlement.status().map(|progress| progress.calls).collect();
            assert_eq!(calls, calls_of(capture));
            lines.reverse();
        }
        let unfinished = fed(&lines[1..], &["py", "absent"]);
        assert!(!unfinished.is_complete());
    }

    #[test]
    fn the_late_part_of_a_search_is_waited_for() {
        let capture = include_bytes!("../tests/data/five-languages.jsonl");
        let lines: Vec<&[u8]> = capture.split(|&byte| byte == b'\n').collect();
        let expected = ["py", "go", "node", "java", "rust"];
        assert_eq!(fed(&lines, &expected).late().as_secs(), 0);
        assert_eq!(fed(&[], &expected).late().as_secs(), 0);
        let early: Vec<&[u8]> = lines
            .into_iter()
            .filter(|line| !String::from_utf8_lossy(line).contains("\"segcore\""))
            .collect();
        assert_eq!(fed(&early, &expected).late().as_secs(), 6);
    }

    #[test]
    fn calls_that_lost_their_context_wait() {
        let capture = include_bytes!("../tests/data/java-context-lost.jsonl");
        let lines: Vec<&[u8]> = capture.split(|&byte| byte == b'\n').collect();
        let settlement = fed(&lines, &["java"]);
        let calls = calls_of(capture)[0];
        let expected = Progress {
            name: "java".to_owned(),
            root_seen: true,
            calls,
            waiting: calls,
        };
        assert_eq!(settlement.status().collect::<Vec<_>>(), [expected]);
        assert!(!settlement.is_complete());
        assert_eq!(settlement.arrivals(), calls + 1);
    }

    #[test]
    fn one_program_without_a_run_has_what_nobody_claims() {
        let capture = include_str!("../tests/data/java-context-lost.jsonl");
        let check = |capture: &str, run: Option<&str>, expected: &[&str], calls: u64| {
            let mut settlement = Settlement::new(Contract::builtin(), run, expected);
            capture
                .lines()
                .for_each(|line| settlement.feed(line.as_bytes()));
            let seen: u64 = settlement.status().map(|progress| progress.calls).sum();
            assert_eq!(seen, calls, "{run:?} {expected:?}");
        };
        let unclaimed = capture.replace("milvus_otel.run", "something.else");
        check(
            &unclaimed,
            None,
            &["python"],
            calls_of(capture.as_bytes())[0],
        );
        check(&unclaimed, Some("fixture"), &["python"], 0);
        check(&unclaimed, None, &["python", "go"], 0);
        check(capture, None, &["python"], 0);
    }

    #[test]
    fn a_program_of_the_run_has_its_traces_under_any_instance_id() {
        let capture = include_str!("../tests/data/java-context-lost.jsonl");
        let check = |run: &str, capture: &str, is_own: bool| {
            let mut settlement =
                Settlement::new(Contract::builtin(), Some(run), &["program"]).with_unclaimed();
            capture
                .lines()
                .for_each(|line| settlement.feed(line.as_bytes()));
            let root_seen = settlement.status().any(|progress| progress.root_seen);
            assert_eq!(root_seen, is_own, "{run}");
        };
        check("fixture", capture, true);
        check(
            "fixture",
            &capture.replace("milvus_otel.run", "other"),
            true,
        );
        check("another", capture, false);
    }

    #[test]
    fn another_run_is_another_matter() {
        let capture = include_bytes!("../tests/data/five-languages.jsonl");
        let mut settlement = Settlement::new(Contract::builtin(), Some("another"), &["py"]);
        capture
            .split(|&byte| byte == b'\n')
            .for_each(|line| settlement.feed(line));
        assert_eq!(settlement.arrivals(), 0);
    }
}
