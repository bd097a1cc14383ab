//! Which call a fault is played on, over all connections of a witness.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::fault::plan::{Action, Fault, Often, Plan};
use crate::record::FaultCount;

/// A plan and how far it has been played.
#[derive(Debug)]
pub(crate) struct Playing {
    plan: Plan,
    counts: Mutex<Vec<Count>>,
    /// Until when connections are refused.
    outage: watch::Sender<Option<Instant>>,
}

#[derive(Clone, Debug, Default)]
struct Count {
    calls: u64,
    played: u64,
    /// The end of a fault that lasts.
    until: Option<Instant>,
}

impl Playing {
    pub(crate) fn new(plan: Plan) -> Self {
        let playing = Self {
            counts: Mutex::new(vec![Count::default(); plan.faults.len()]),
            outage: watch::channel(None).0,
            plan,
        };
        for (index, fault) in playing.plan.faults.iter().enumerate() {
            if let (true, Action::Refuse(span)) = (fault.is_at_start(), &fault.action) {
                playing.counts(|counts| counts[index].played = 1);
                playing.refuse_until(Instant::now() + span.0);
            }
        }
        playing
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn fault(&self, index: usize) -> &Fault {
        &self.plan.faults[index]
    }

    /// Counts a call, and returns the fault that is played on it.
    pub(crate) fn next(&self, path: &str, now: Instant) -> Option<usize> {
        self.counts(|counts| {
            let mut due = None;
            for (index, (fault, count)) in
                self.plan.faults.iter().zip(counts.iter_mut()).enumerate()
            {
                if fault.is_at_start() || !fault.is_of(path) {
                    continue;
                }
                count.calls += 1;
                if due.is_none() && count.is_due(fault, now) {
                    due = Some(index);
                }
            }
            if let Some(index) = due {
                counts[index].played += 1;
            }
            due
        })
    }

    /// Takes back a call on which a fault had nothing to do.
    pub(crate) fn unplayed(&self, fault: usize) {
        self.counts(|counts| counts[fault].played -= 1);
    }

    pub(crate) fn refuse_until(&self, end: Instant) {
        self.outage.send_replace(Some(end));
    }

    pub(crate) fn outages(&self) -> watch::Receiver<Option<Instant>> {
        self.outage.subscribe()
    }

    pub(crate) fn told(&self) -> Vec<FaultCount> {
        self.counts(|counts| {
            let faults = self.plan.faults.iter().zip(counts.iter());
            let told = faults.map(|(fault, count)| FaultCount {
                name: fault.name.clone(),
                client: None,
                calls: count.calls,
                played: count.played,
            });
            told.collect()
        })
    }

    fn counts<T>(&self, look: impl FnOnce(&mut Vec<Count>) -> T) -> T {
        look(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Count {
    fn is_due(&mut self, fault: &Fault, now: Instant) -> bool {
        if self.calls < fault.nth {
            return false;
        }
        match fault.often {
            Often::Times(times) => self.played < times,
            Often::For(span) => now < *self.until.get_or_insert(now + span),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fault_is_played_on_the_calls_that_it_names() {
        let check = |text: &str, expected: &[&str]| {
            let text = format!("[[fault]]\nname = \"f\"\naction = \"cut\"\n{text}");
            let plan = Plan::parse(&text, |step| Err(step.to_owned())).expect("a plan");
            let playing = Playing::new(plan);
            let began = Instant::now();
            // Seconds and methods.
            let calls = [(0, "A"), (1, "B"), (2, "A"), (3, "A"), (4, "B"), (9, "A")];
            let played = calls.iter().filter(|(second, method)| {
                let now = began + Duration::from_secs(*second);
                playing.next(&format!("/s.S/{method}"), now).is_some()
            });
            let played: Vec<String> = played
                .map(|(second, method)| format!("{method}{second}"))
                .collect();
            assert_eq!(played, expected, "{text}");
            let count = &playing.told()[0];
            assert_eq!(count.played, expected.len() as u64);
        };
        check("", &["A0"]);
        check("method = \"B\"", &["B1"]);
        check("method = \"/s.S/A\"\nnth = 2", &["A2"]);
        check("method = \"A\"\nnth = 2\ntimes = 2", &["A2", "A3"]);
        check("method = \"A\"\nnth = 2\nfor = \"2s\"", &["A2", "A3"]);
        check("method = \"C\"", &[]);
        check("nth = 7", &[]);
    }

    #[test]
    fn of_several_faults_the_first_that_is_due_is_played() {
        let text = "[[fault]]\nname = \"a\"\nnth = 2\naction = \"cut\"\n[[fault]]\nname = \"b\"\ntimes = 9\naction = \"cut\"";
        let plan = Plan::parse(text, |step| Err(step.to_owned())).expect("a plan");
        let playing = Playing::new(plan);
        let played = [(); 3].map(|()| playing.next("/s.S/A", Instant::now()));
        assert_eq!(played, [Some(1), Some(0), Some(1)]);
    }
}
