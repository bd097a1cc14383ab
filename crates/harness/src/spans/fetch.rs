//! Reading spans back from a store that has Jaeger's query API.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otlp_capture::Secrets;
use serde::Deserialize;
use serde_json::{Value, json};
use supervise::{Failure, IoContext, Result, disk};

use crate::spans::http::{Answer, Client, Url};
use crate::spans::live::Fresh;
use crate::spans::live::Live;
use crate::time;

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

/// What Jaeger answers with where it fails.
#[derive(Deserialize)]
struct Failed {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    msg: String,
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
            let line = trace.to_string();
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

    /// Documents by trace id; a trace is found through each of its services, and is whole each time but for what came in between.
    async fn traces(&self) -> Result<BTreeMap<String, Value>> {
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        for service in self.services().await? {
            let traces = self.traces_of(&service).await?;
            check_is_all(&service, traces.len())?;
            for (id, trace) in traces {
                let known = found.entry(id).or_default();
                if spans(&trace) >= spans(known) {
                    *known = trace;
                }
            }
        }
        Ok(found)
    }

    /// One attribute that is NaN, in any program's span, fails the whole search for Jaeger's own JSON; its API v3 writes OTLP, which has a
    /// word for NaN.
    async fn traces_of(&self, service: &str) -> Result<Vec<(String, Value)>> {
        let until = SystemTime::now() + CLOCK_MARGIN;
        let path = format!(
            "/api/traces?service={}&start={}&end={}&limit={TRACES_PER_SERVICE}",
            encoded(service),
            self.since,
            micros(until),
        );
        let answer = self.get(&path).await?;
        if answer.status == 500 {
            let by_v3 = self.get(&self.v3(service, micros(until))).await?;
            return match by_v3.status {
                200 => Ok(by_trace(&self.parsed(&path, &by_v3.body)?)),
                404 => Ok(Vec::new()),
                _ => Err(self.refused(&path, &answer)),
            };
        }
        let traces: Traces = self.accepted(&path, &answer)?;
        if let Some([error, ..]) = traces.errors.as_deref() {
            return Err(
                Failure::new(format!("the traces of `{service}` can't be read: {error}"))
                    .hint("look at the log of the store, then run the same command again"),
            );
        }
        let traces = traces.data.unwrap_or_default().into_iter();
        traces
            .map(|trace| {
                let id = trace["traceID"].as_str().ok_or_else(|| {
                    Failure::new(format!("a trace of `{service}` has no `traceID`"))
                        .hint("point `--traces-from` at Jaeger's query API")
                })?;
                Ok((id.to_owned(), json!({ "data": [trace] })))
            })
            .collect()
    }

    /// The same search, by Jaeger's API v3.
    fn v3(&self, service: &str, until: u128) -> String {
        format!(
            "/api/v3/traces?query.service_name={}&query.start_time_min={}&query.start_time_max={}&query.num_traces={TRACES_PER_SERVICE}",
            encoded(service),
            encoded(&time::of_micros(self.since)),
            encoded(&time::of_micros(until)),
        )
    }

    async fn services(&self) -> Result<Vec<String>> {
        let services: Services = self.ask("/api/services").await?;
        let all = services.data.unwrap_or_default().into_iter();
        Ok(all.filter(|name| !STORE.contains(&name.as_str())).collect())
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T> {
        let answer = self.get(path).await?;
        self.accepted(path, &answer)
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        let answer = self.client.get(&self.api.at(path)).await;
        answer.map_err(|error| self.failed(error))
    }

    fn accepted<T: for<'de> Deserialize<'de>>(&self, path: &str, answer: &Answer) -> Result<T> {
        if answer.status != 200 {
            return Err(self.refused(path, answer));
        }
        self.parsed(path, &answer.body)
    }

    fn parsed<T: for<'de> Deserialize<'de>>(&self, path: &str, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body)
            .map_err(|error| self.failed(format!("the answer to `{path}` can't be read: {error}")))
    }

    fn refused(&self, path: &str, answer: &Answer) -> Failure {
        let failed = serde_json::from_slice(&answer.body);
        let reasons: Vec<String> = failed
            .map(|failed: Failed| failed.errors.into_iter().map(|reason| reason.msg).collect())
            .unwrap_or_default();
        let told = if reasons.is_empty() {
            String::new()
        } else {
            format!(": {}", reasons.join("; "))
        };
        self.failed(format!("status {} for `{path}`{told}", answer.status))
    }

    fn failed(&self, reason: String) -> Failure {
        let scheme = if self.api.secure { "https" } else { "http" };
        Failure::new(format!(
            "can't read the traces from `{scheme}://{}`: {reason}",
            self.api.authority
        ))
        .hint("point `--traces-from` at Jaeger's query API, which answers `/api/services`; its usual port is 16686")
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

/// Spans of one trace's document, in either form.
fn spans(document: &Value) -> usize {
    let len = |list: &Value| list.as_array().map_or(0, Vec::len);
    let groups =
        members(&document["resourceSpans"]).flat_map(|group| members(&group["scopeSpans"]));
    len(&document["data"][0]["spans"]) + groups.map(|scope| len(&scope["spans"])).sum::<usize>()
}

/// An OTLP document for each trace in an answer of the API v3.
fn by_trace(answer: &Value) -> Vec<(String, Value)> {
    let mut traces: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for group in members(&answer["result"]["resourceSpans"]) {
        for scope in members(&group["scopeSpans"]) {
            let mut own: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
            for span in members(&scope["spans"]) {
                let id = span["traceId"].as_str().unwrap_or_default();
                own.entry(id).or_default().push(span);
            }
            for (id, spans) in own {
                let scope = json!({"scope": scope["scope"], "schemaUrl": scope["schemaUrl"], "spans": spans});
                let group = json!({"resource": group["resource"], "schemaUrl": group["schemaUrl"], "scopeSpans": [scope]});
                traces.entry(id.to_owned()).or_default().push(group);
            }
        }
    }
    let document = |(id, groups)| (id, json!({ "resourceSpans": groups }));
    traces.into_iter().map(document).collect()
}

fn members(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
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

    /// A query API that gives these answers, by the beginning of the path that is asked for.
    async fn api(answers: &'static [(&'static str, &'static str, &'static str)]) -> Fetch {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.expect("a request");
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = request.split(' ').nth(1).expect("a path").to_owned();
                let (_, status, body) = answers
                    .iter()
                    .find(|(asked, _, _)| path.starts_with(asked))
                    .unwrap_or(&("", "404 Not Found", ""));
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        let fresh = crate::spans::live::fresh(&trace_parity::Contract::builtin(), None, Vec::new());
        let began = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Fetch::since(began, Url::local(port, "/"), Client::default(), fresh)
    }

    const NAN: &str =
        r#"{"data":null,"errors":[{"code":500,"msg":"json: unsupported value: NaN"}]}"#;
    const SERVICES: (&str, &str, &str) = ("/api/services", "200 OK", r#"{"data":["app"]}"#);

    #[tokio::test]
    async fn one_nan_does_not_hide_the_other_traces() {
        let fetch = api(&[
            SERVICES,
            ("/api/traces", "500 Internal Server Error", NAN),
            (
                "/api/v3/traces?query.service_name=app&query.start_time_min=2023-11-14T22%3A13%3A20Z&",
                "200 OK",
                r#"{"result":{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{"name":"s"},"spans":[
                    {"traceId":"a","spanId":"1","attributes":[{"key":"k","value":{"doubleValue":"NaN"}}]},
                    {"traceId":"b","spanId":"2"},{"traceId":"a","spanId":"3"}]}]}]}}"#,
            ),
        ])
        .await;
        let traces = fetch.traces().await.expect("traces");
        let counts: Vec<(&str, usize)> = traces
            .iter()
            .map(|(id, document)| (id.as_str(), spans(document)))
            .collect();
        assert_eq!(counts, [("a", 2), ("b", 1)]);
    }

    #[tokio::test]
    async fn a_failure_quotes_jaegers_reason() {
        let fetch = api(&[SERVICES, ("/api/traces", "500 Internal Server Error", NAN)]).await;
        // The API v3 finds nothing.
        assert!(fetch.traces().await.expect("no trace").is_empty());
        let without_v3 = api(&[
            SERVICES,
            ("/api/traces", "500 Internal Server Error", NAN),
            ("/api/v3", "501 Not Implemented", ""),
        ]);
        let failure = without_v3
            .await
            .traces()
            .await
            .expect_err("nothing answers");
        let text = failure.to_string();
        assert!(
            text.contains("status 500 for `/api/traces")
                && text.ends_with(": json: unsupported value: NaN"),
            "{text}"
        );
    }

    #[test]
    fn a_services_name_is_fit_for_a_query() {
        let check = |name: &str, expected: &str| assert_eq!(encoded(name), expected);
        check("milvus-client", "milvus-client");
        check("a b&c=ü", "a%20b%26c%3D%C3%BC");
    }
}
