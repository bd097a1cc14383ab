//! The accounts of senders: their requests and the outcome of each.
//!
//! One lock guards the whole ledger, so a snapshot is exact: every completed request is counted
//! once, as stored, as refused permanently, or as asked to retry.

use crate::schema::Signal;
use crate::secrets::Secrets;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All requests that a capture received, by sender and outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// In order of arrival. [`Who::Others`], if there is one, is last.
    pub senders: Vec<Sender>,
    /// Connections that were closed immediately because too many were open.
    pub refused_connections: u64,
    /// The latest error of a file.
    pub last_file_error: Option<String>,
    /// The latest error of the forwarding, even if a retry succeeded.
    pub last_forward_error: Option<String>,
}

/// A sender and its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The sender.
    pub who: Who,
    /// The `user-agent` of the latest request that had one: the exporter's name and version.
    pub user_agent: Option<String>,
    /// The sender's requests and their outcomes.
    pub account: Account,
}

/// The sender of a request, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The program that its resource names.
    Program(Program),
    /// The peer, if neither the request nor the connection's earlier ones name a program.
    Peer {
        /// The address without the port, which differs for each connection.
        address: IpAddr,
        /// The `user-agent`.
        user_agent: Option<String>,
    },
    /// All senders after the first [`Limits::senders`](crate::Limits::senders).
    Others,
}

/// The attributes of a resource that identify its program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Program {
    /// The resource attribute `milvus_otel.run`.
    pub run: Option<String>,
    /// The resource attribute `service.instance.id`.
    pub instance: Option<String>,
    /// The resource attribute `service.name`.
    pub service: Option<String>,
}

/// A sender's requests and their outcomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Completed requests: the sum of those stored, refused and asked to retry.
    pub requests: u64,
    /// Stored spans.
    pub traces: SignalStats,
    /// Stored metric data points.
    pub metrics: SignalStats,
    /// Stored log records.
    pub logs: SignalStats,
    /// Permanently refused requests, by kind.
    pub refused: Vec<Refused>,
    /// Requests that were asked to retry, because the queue was full or the file couldn't be
    /// written.
    pub asked_again: u64,
    /// Requests asked to retry that were retried.
    pub came_again: u64,
    /// Records in requests that couldn't be written and were asked to retry.
    pub unwritten_records: u64,
    /// Forwarded requests. All of them are in the files too.
    pub forward: ForwardStats,
}

/// The stored data of one signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalStats {
    /// Requests that were acknowledged.
    pub requests: u64,
    /// Spans, data points or log records in these requests.
    pub records: u64,
    /// Bytes written for these requests.
    pub bytes: u64,
}

/// Requests that were refused permanently for one kind of reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The kind.
    pub kind: RefusedAs,
    /// The number of requests.
    pub requests: u64,
    /// The reason of the latest.
    pub reason: String,
    /// The `user-agent` of the latest.
    pub user_agent: Option<String>,
    /// Advice for the user.
    pub advice: String,
}

/// A kind of permanent refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedAs {
    /// Not OTLP: the content can't be decompressed or decoded, or contains an id of the wrong
    /// length.
    Malformed,
    /// Larger than the limit for requests.
    TooLarge,
    /// An unsupported compression.
    UnknownEncoding,
    /// Neither protobuf nor JSON.
    UnknownContentType,
    /// An unknown path.
    UnknownPath,
    /// A method other than POST.
    UnknownMethod,
    /// A preflight request from an origin that isn't allowed.
    CrossOrigin,
    /// OTLP/HTTP on the gRPC port.
    HttpOnGrpcPort,
    /// OTLP/gRPC on the HTTP port.
    GrpcOnHttpPort,
    /// Not HTTP: TLS, or another protocol.
    NotHttp,
    /// Interrupted by the sender, or timed out.
    BrokenOff,
}

/// Forwarded records: spans, data points and log records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardStats {
    /// Accepted by the receiver.
    pub sent_records: u64,
    /// Lost: the queue was full, the receiver refused them, or it couldn't be reached in time.
    pub lost_records: u64,
    /// Not supported by the receiver, as metrics by Jaeger.
    pub unsupported_records: u64,
    /// Still in the queue.
    pub waiting_records: u64,
}

/// An account's number in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderId(usize);

/// The number of requests asked to retry that are remembered. Further ones count as not retried.
const AWAITED: usize = 1 << 16;
/// The length to which a sender's text is truncated.
const MAX_TEXT: usize = 400;

#[derive(Debug)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    most_senders: usize,
    secrets: Secrets,
    advice: Advice,
}

#[derive(Debug, Default)]
struct Book {
    senders: Vec<Sender>,
    numbers: HashMap<Who, SenderId>,
    /// The senders that were asked to retry, by the digest of the request.
    awaited: HashMap<u64, SenderId>,
    refused_connections: u64,
    last_file_error: Option<String>,
    last_forward_error: Option<String>,
    is_closed: bool,
}

/// The advice for each kind of refusal. Some depends on the ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advice {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Stats {
    /// The sum of all accounts.
    pub fn total(&self) -> Account {
        let mut total = Account::default();
        for sender in &self.senders {
            total.add(&sender.account);
        }
        total
    }

    /// The difference to `earlier`, an older snapshot of the same capture.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.refused_connections -= earlier.refused_connections;
        for sender in &mut since.senders {
            let before = earlier
                .senders
                .iter()
                .find(|before| before.who == sender.who);
            if let Some(before) = before {
                sender.account.subtract(&before.account);
            }
        }
        since.senders.retain(|sender| sender.account.requests > 0);
        since
    }
}

impl Account {
    /// The counts of one signal.
    pub fn signal(&self, signal: Signal) -> SignalStats {
        match signal {
            Signal::Traces => self.traces,
            Signal::Metrics => self.metrics,
            Signal::Logs => self.logs,
        }
    }

    /// Requests that were refused permanently, of any kind.
    pub fn refused_requests(&self) -> u64 {
        self.refused.iter().map(|refused| refused.requests).sum()
    }

    /// Requests that were refused permanently, of this kind.
    pub fn refused_as(&self, kind: RefusedAs) -> u64 {
        let of_kind = self.refused.iter().filter(|refused| refused.kind == kind);
        of_kind.map(|refused| refused.requests).sum()
    }

    /// Requests that were asked to retry and weren't retried.
    pub fn missing_requests(&self) -> u64 {
        self.asked_again - self.came_again
    }

    fn signal_mut(&mut self, signal: Signal) -> &mut SignalStats {
        match signal {
            Signal::Traces => &mut self.traces,
            Signal::Metrics => &mut self.metrics,
            Signal::Logs => &mut self.logs,
        }
    }

    /// Adds a kind of refusal. `other` is the later one.
    fn refuse(&mut self, other: &Refused) {
        match self
            .refused
            .iter_mut()
            .find(|refused| refused.kind == other.kind)
        {
            Some(refused) => {
                *refused = Refused {
                    requests: refused.requests + other.requests,
                    ..other.clone()
                };
            }
            None => {
                let place = self
                    .refused
                    .partition_point(|refused| refused.kind < other.kind);
                self.refused.insert(place, other.clone());
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.combine(other, |a, b| a + b);
        for refused in &other.refused {
            self.refuse(refused);
        }
    }

    fn subtract(&mut self, earlier: &Self) {
        // A request asked to retry before `earlier` may have been retried since.
        self.combine(earlier, u64::saturating_sub);
        self.asked_again = self.asked_again.max(self.came_again);
        for refused in &mut self.refused {
            refused.requests -= earlier.refused_as(refused.kind);
        }
        self.refused.retain(|refused| refused.requests > 0);
    }

    fn combine(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        for (own, other) in self
            .counts_mut()
            .into_iter()
            .zip(other.clone().counts_mut())
        {
            *own = combine(*own, *other);
        }
    }

    fn counts_mut(&mut self) -> [&mut u64; 17] {
        let Self {
            requests,
            traces,
            metrics,
            logs,
            refused: _,
            asked_again,
            came_again,
            unwritten_records,
            forward,
        } = self;
        [
            requests,
            &mut traces.requests,
            &mut traces.records,
            &mut traces.bytes,
            &mut metrics.requests,
            &mut metrics.records,
            &mut metrics.bytes,
            &mut logs.requests,
            &mut logs.records,
            &mut logs.bytes,
            asked_again,
            came_again,
            unwritten_records,
            &mut forward.sent_records,
            &mut forward.lost_records,
            &mut forward.unsupported_records,
            &mut forward.waiting_records,
        ]
    }
}

impl Ledger {
    pub(crate) fn new(most_senders: usize, secrets: Secrets, advice: Advice) -> Self {
        Self {
            book: Mutex::default(),
            most_senders,
            secrets,
            advice,
        }
    }

    /// The account of a sender. It is created if there is room for another.
    pub(crate) fn sender(&self, who: Who, user_agent: Option<&str>) -> SenderId {
        let mut book = self.book();
        let id = book.number(who, self.most_senders);
        if let Some(user_agent) = user_agent
            && book.senders[id.0].user_agent.as_deref() != Some(user_agent)
            && book.senders[id.0].who != Who::Others
        {
            book.senders[id.0].user_agent = Some(user_agent.to_owned());
        }
        id
    }

    /// Counts an acknowledged request.
    pub(crate) fn stored(&self, id: SenderId, signal: Signal, records: u64, bytes: usize) {
        let mut book = self.book();
        let account = book.account(id);
        account.requests += 1;
        let stored = account.signal_mut(signal);
        stored.requests += 1;
        stored.records += records;
        stored.bytes += bytes as u64;
    }

    /// Counts a permanently refused request.
    pub(crate) fn refused(
        &self,
        id: SenderId,
        kind: RefusedAs,
        reason: &str,
        user_agent: Option<&str>,
    ) {
        let refused = Refused {
            kind,
            requests: 1,
            reason: self.text(reason),
            user_agent: user_agent.map(str::to_owned),
            advice: self.advice.on(kind),
        };
        let mut book = self.book();
        let account = book.account(id);
        account.requests += 1;
        account.refuse(&refused);
    }

    /// Counts a request that was asked to retry. The digest, if known, identifies the retry.
    pub(crate) fn asked_again(&self, id: SenderId, digest: Option<u64>) {
        let mut book = self.book();
        let account = book.account(id);
        account.requests += 1;
        account.asked_again += 1;
        if let Some(digest) = digest
            && book.awaited.len() < AWAITED
        {
            book.awaited.insert(digest, id);
        }
    }

    /// Notes the arrival of a request, which may be a retry.
    pub(crate) fn came(&self, digest: u64) {
        let mut book = self.book();
        if let Some(id) = book.awaited.remove(&digest) {
            book.account(id).came_again += 1;
        }
    }

    pub(crate) fn not_written(&self, id: SenderId, records: u64, error: &str) {
        let error = self.text(error);
        let mut book = self.book();
        book.account(id).unwritten_records += records;
        book.last_file_error = Some(error);
    }

    pub(crate) fn refused_connection(&self) {
        self.book().refused_connections += 1;
    }

    /// Counts records that are queued for forwarding.
    pub(crate) fn forwarding(&self, id: SenderId, records: u64) {
        self.book().account(id).forward.waiting_records += records;
    }

    pub(crate) fn forwarded(&self, id: SenderId, records: u64) {
        self.book().forward(id, records).sent_records += records;
    }

    pub(crate) fn not_supported(&self, id: SenderId, records: u64) {
        self.book().forward(id, records).unsupported_records += records;
    }

    pub(crate) fn not_forwarded(&self, id: SenderId, records: u64, error: String) {
        let mut book = self.book();
        book.forward(id, records).lost_records += records;
        book.last_forward_error = Some(error);
    }

    pub(crate) fn forward_failed(&self, error: String) {
        self.book().last_forward_error = Some(error);
    }

    /// Counts the records that are still queued for forwarding as lost.
    pub(crate) fn abandon_forwarding(&self) {
        for sender in &mut self.book().senders {
            let forward = &mut sender.account.forward;
            forward.lost_records += std::mem::take(&mut forward.waiting_records);
        }
    }

    /// From now on, an interrupted request is one that the closing of the ports interrupted.
    pub(crate) fn close(&self) {
        self.book().is_closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.book().is_closed
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let book = self.book();
        let mut senders = book.senders.clone();
        // In order of arrival, with [`Who::Others`] last.
        senders.sort_by_key(|sender| sender.who == Who::Others);
        Stats {
            senders,
            refused_connections: book.refused_connections,
            last_file_error: book.last_file_error.clone(),
            last_forward_error: book.last_forward_error.clone(),
        }
    }

    /// A text from a sender, without secrets and truncated.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = self.secrets.redacted(text);
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn number(&mut self, who: Who, most: usize) -> SenderId {
        if let Some(&id) = self.numbers.get(&who) {
            return id;
        }
        let who = if self.senders.len() < most {
            who
        } else {
            Who::Others
        };
        let next = SenderId(self.senders.len());
        let id = *self.numbers.entry(who.clone()).or_insert(next);
        if id == next {
            self.senders.push(Sender {
                who,
                user_agent: None,
                account: Account::default(),
            });
        }
        id
    }

    fn account(&mut self, id: SenderId) -> &mut Account {
        &mut self.senders[id.0].account
    }

    /// The account of forwarded records, with `records` fewer in the queue.
    fn forward(&mut self, id: SenderId, records: u64) -> &mut ForwardStats {
        let forward = &mut self.account(id).forward;
        forward.waiting_records -= records;
        forward
    }
}

impl Advice {
    fn on(self, kind: RefusedAs) -> String {
        let Self { grpc, http } = self;
        match kind {
            RefusedAs::Malformed => {
                "the reason names the place; a newer exporter, or the other encoding (`OTEL_EXPORTER_OTLP_PROTOCOL=grpc` or \
                 `http/protobuf`), may send it right"
            }
            RefusedAs::TooLarge => "export fewer spans at a time: `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`",
            RefusedAs::UnknownEncoding => "set `OTEL_EXPORTER_OTLP_COMPRESSION=gzip` or `none`",
            RefusedAs::UnknownContentType => {
                "set `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf` or `http/json`"
            }
            RefusedAs::UnknownPath => {
                return format!(
                    "set `OTEL_EXPORTER_OTLP_ENDPOINT=http://{http}` (the exporter adds the path), or \
                     `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://{http}/v1/traces` (it adds nothing)"
                );
            }
            RefusedAs::UnknownMethod => "OTLP over HTTP is sent with POST",
            RefusedAs::CrossOrigin => {
                "pages may send only from origins that the capture was told to allow"
            }
            RefusedAs::HttpOnGrpcPort => {
                return format!(
                    "set `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://{http}/v1/traces`, or export over gRPC"
                );
            }
            RefusedAs::GrpcOnHttpPort => {
                return format!(
                    "set `OTEL_EXPORTER_OTLP_ENDPOINT=http://{grpc}`, or export over HTTP"
                );
            }
            RefusedAs::NotHttp => {
                "the port speaks plain HTTP/1 and HTTP/2: give the exporter an `http://` endpoint, or \
                 `OTEL_EXPORTER_OTLP_INSECURE=true`"
            }
            RefusedAs::BrokenOff => {
                "let the program shut its tracer provider down before it ends, and leave it the time to export"
            }
        }
        .to_owned()
    }
}
