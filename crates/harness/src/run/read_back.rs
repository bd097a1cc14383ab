//! Reading the traces back from the Jaeger that the capture sends on to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use supervise::Result;
use trace_parity::{Contract, Verdict};

use crate::run::judge;
use crate::spans::fetch::Fetch;
use crate::spans::http::{Client, Url};
use crate::spans::live::{fresh, live};
use crate::stack::session::Session;

/// How often Jaeger is asked: it has a queue before its store.
const POLL: Duration = Duration::from_millis(200);

/// What Jaeger's traces come to.
pub(super) enum ReadBack {
    /// The same verdict; the file holds them.
    Same(PathBuf),
    /// Another verdict, however long they were waited for; as a clause.
    Differs(String),
}

/// Reads all of Jaeger's traces into `jaeger.jsonl` until they come to `verdict`, or the limit is over.
///
/// Fails where Jaeger can't be read.
pub(super) async fn read_back(
    session: &Session,
    jaeger: &Url,
    contract: Option<&Contract>,
    verdict: &Verdict,
    limit: Duration,
) -> Result<ReadBack> {
    // The Jaeger is this run's own: everything in it is.
    let began = SystemTime::UNIX_EPOCH;
    let file = session.folder.path.join("jaeger.jsonl");
    let words = contract.cloned().unwrap_or_else(Contract::builtin);
    let fresh = fresh(&words, None, Vec::new());
    let unused = live(&fresh);
    let mut fetch = Fetch::since(began, jaeger.clone(), Client::default(), fresh);
    fetch.secrets = session.manifest.secrets.clone();
    let asked = Instant::now();
    loop {
        fetch.take_in(&file, &unused).await?;
        let again = judge::verdict_of(&file, &session.manifest, contract)?;
        if again.outcome == verdict.outcome && findings(&again) == findings(verdict) {
            return Ok(ReadBack::Same(file));
        }
        if asked.elapsed() > limit {
            return Ok(ReadBack::Differs(difference(verdict, &again)));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Each rule and example with findings, and how many.
fn findings(verdict: &Verdict) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for finding in &verdict.findings {
        let name = match &finding.example {
            Some(example) => format!("`{}` of {example}", finding.rule),
            None => format!("`{}`", finding.rule),
        };
        *counts.entry(name).or_default() += 1;
    }
    let text = |(name, count)| match count {
        1 => name,
        _ => format!("{count} {name}"),
    };
    counts.into_iter().map(text).collect()
}

fn difference(captured: &Verdict, read: &Verdict) -> String {
    let (captured, read) = (findings(captured), findings(read));
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        let only: Vec<&str> = these.difference(those).map(String::as_str).collect();
        match only.is_empty() {
            true => "nothing".to_owned(),
            false => only.join(", "),
        }
    };
    format!(
        "found there alone: {}; in the capture alone: {}",
        only(&read, &captured),
        only(&captured, &read)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_findings_of_either_side() {
        let verdict = |input: &[u8]| {
            let input = trace_parity::Input {
                label: None,
                bytes: input,
            };
            let (traces, problems) = trace_parity::read(&[input]);
            trace_parity::judge(&traces, &problems, None, None)
        };
        let (empty, broken) = (verdict(b""), verdict(b"no capture"));
        assert_eq!(
            difference(&empty, &broken),
            "found there alone: `malformed-input`; in the capture alone: `no-spans`"
        );
    }
}
