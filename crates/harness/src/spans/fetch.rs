//! Reading spans back from a store that has Jaeger's query API.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otlp_capture::Secrets;
use serde::Deserialize;
use serde_json::Value;
use supervise::{Failure, IoContext, Result, disk};

use crate::spans::http::{Client, Url};
use crate::spans::live::Fresh;
use crate::spans::live::Live;

/// The number of traces per service in one response. An idle server makes about ten a second.
const TRACES_PER_SERVICE: usize = 20_000;
/// How far the store's clock may be from ours.
pub const CLOCK_MARGIN: Duration = Duration::from_secs(5);
/// Services of the store's own, by Jaeger's names for itself.
const STORE: [&str; 5] = [
    "jaeger",
    "jaeger-all-in-one",
    "jaeger-collector",
    "jaeger-ingester",
    "jaeger-query",
];

/// A query API, and the part of its traces that belongs to a run.
pub struct Fetch {
    api: Url,
    client: Client,
    /// Microseconds since 1970.
    since: u128,
    fresh: Fresh,
    /// Written to no file.
    pub secrets: Secrets,
}

#[derive(Deserialize)]
struct Services {
    #[serde(default)]
    data: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Traces {
    #[serde(default)]
    data: Option<Vec<Value>>,
    /// Jaeger may answer with status 200, no traces and an error.
    #[serde(default)]
    errors: Option<Vec<Value>>,
}

impl Fetch {
    /// The traces in `api` since `began`. `fresh` creates the live join, which each fetch feeds from the start.
    pub fn since(began: SystemTime, api: Url, client: Client, fresh: Fresh) -> Self {
        Self {
            api,
            client,
            since: micros(began),
            fresh,
            secrets: Secrets::default(),
        }
    }

    /// Fails where nothing speaks Jaeger's query API.
    pub async fn check(&self) -> Result<()> {
        self.services().await.map(|_| ())
    }

    /// Writes every trace since the beginning to `file`, a line each, and gives them to `live`.
    ///
    /// The servers' own traces are among them, so that a context that was lost is seen.
    pub async fn take_in(&self, file: &Path, live: &Live) -> Result<()> {
        let mut settlement = (self.fresh)();
        let mut text = Vec::new();
        for trace in self.traces().await?.values() {
            let line = serde_json::json!({ "data": [trace] }).to_string();
            settlement.feed(line.as_bytes());
            text.extend(line.into_bytes());
            text.push(b'\n');
        }
        self.secrets.redact(&mut text);
        disk::create(file)
            .and_then(|mut file| file.write_all(&text))
            .at("write", file)?;
        *live
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = settlement;
        Ok(())
    }

    /// By id; a trace is found through each of its services, and is whole each time but for what came in between.
    async fn traces(&self) -> Result<BTreeMap<String, Value>> {
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        for service in self.services().await? {
            let path = format!(
                "/api/traces?service={}&start={}&end={}&limit={TRACES_PER_SERVICE}",
                encoded(&service),
                self.since,
                micros(SystemTime::now() + CLOCK_MARGIN),
            );
            let traces: Traces = self.ask(&path).await?;
            if let Some([error, ..]) = traces.errors.as_deref() {
                return Err(Failure::new(format!(
                    "the traces of `{service}` can't be read: {error}"
                ))
                .hint("look at the log of the store, then run the same command again"));
            }
            let traces = traces.data.unwrap_or_default();
            check_is_all(&service, traces.len())?;
            for trace in traces {
                let id = trace["traceID"].as_str().ok_or_else(|| {
                    Failure::new(format!("a trace of `{service}` has no `traceID`"))
                        .hint("the address must be that of Jaeger's query API")
                })?;
                let id = id.to_owned();
                let known = found.entry(id).or_default();
                if spans(&trace) >= spans(known) {
                    *known = trace;
                }
            }
        }
        Ok(found)
    }

    async fn services(&self) -> Result<Vec<String>> {
        let services: Services = self.ask("/api/services").await?;
        let all = services.data.unwrap_or_default().into_iter();
        Ok(all.filter(|name| !STORE.contains(&name.as_str())).collect())
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T> {
        let url = self.api.at(path);
        let failed = |what: String| {
            let scheme = if self.api.secure { "https" } else { "http" };
            Failure::new(format!("the traces can't be read from `{scheme}://{}`: {what}", self.api.authority))
                .hint("it must be Jaeger's query API, which answers `/api/services`; 16686 is its usual port")
        };
        let answer = self.client.get(&url).await.map_err(failed)?;
        if answer.status != 200 {
            return Err(failed(format!(
                "`{path}` is answered with status {}",
                answer.status
            )));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| failed(format!("`{path}` has an unexpected response: {error}")))
    }
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch")
            .field("api", &self.api)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Fails where a store may have more than it was asked for.
fn check_is_all(service: &str, traces: usize) -> Result<()> {
    if traces < TRACES_PER_SERVICE {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{service}` has {TRACES_PER_SERVICE} traces or more since the run began, and no more are read: some may be missing"
    ))
    .hint("end the run sooner, or stop other programs from exporting to that store"))
}

fn spans(trace: &Value) -> usize {
    trace["spans"].as_array().map_or(0, Vec::len)
}

fn micros(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_micros()
}

/// Percent-encodes a query value.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_cut_off_is_not_taken_for_all() {
        assert!(check_is_all("milvus", TRACES_PER_SERVICE - 1).is_ok());
        assert!(check_is_all("milvus", TRACES_PER_SERVICE).is_err());
    }

    #[test]
    fn a_services_name_is_fit_for_a_query() {
        let check = |name: &str, expected: &str| assert_eq!(encoded(name), expected);
        check("milvus-client", "milvus-client");
        check("a b&c=ü", "a%20b%26c%3D%C3%BC");
    }
}
