//! The accounting: what came from each sender and what became of it.
//!
//! One lock guards all of it, so that a snapshot is exact: every request that has ended is counted once, as stored, as
//! refused for good, or as asked to come again.

use crate::schema::Signal;
use crate::secrets::Secrets;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a capture received, from whom, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// In the order in which they came. [`Who::Others`] stands last, where there were too many to tell apart.
    pub senders: Vec<Sender>,
    /// Connections that were closed at once because too many were open.
    pub refused_connections: u64,
    /// The latest thing that went wrong with a file.
    pub last_file_error: Option<String>,
    /// The latest thing that went wrong with sending on, even if it went right afterwards.
    pub last_forward_error: Option<String>,
}

/// A sender and its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Whose account it is.
    pub who: Who,
    /// The `user-agent` of its latest request that had one: the exporter's name and version.
    pub user_agent: Option<String>,
    /// What came and what became of it.
    pub account: Account,
}

/// As much as is known of who sent a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The program that its resource names.
    Program(Program),
    /// Nothing in the request could be read, and the connection carried nothing else that could.
    Peer {
        /// The address, without the port, which is another one for each connection.
        address: IpAddr,
        /// What the sender calls itself.
        user_agent: Option<String>,
    },
    /// All who came after [`Limits::senders`](crate::Limits::senders) others.
    Others,
}

/// What a resource says about its program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Program {
    /// The resource attribute `milvus_otel.run`.
    pub run: Option<String>,
    /// The resource attribute `service.instance.id`.
    pub instance: Option<String>,
    /// The resource attribute `service.name`.
    pub service: Option<String>,
}

/// What came from a sender and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Requests that came and whose fate is decided: the sum of those stored, refused and asked to come again.
    pub requests: u64,
    /// Stored spans.
    pub traces: SignalStats,
    /// Stored metric data points.
    pub metrics: SignalStats,
    /// Stored log records.
    pub logs: SignalStats,
    /// What was refused for good, by kind.
    pub refused: Vec<Refused>,
    /// Requests that were told to come again: the queue was full, or the file couldn't be written.
    pub asked_again: u64,
    /// Those of them that did come again.
    pub came_again: u64,
    /// Records in requests that couldn't be written, and were told to come again.
    pub unwritten_records: u64,
    /// What was sent on. All of it is in the files too.
    pub forward: ForwardStats,
}

/// What was received of one signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalStats {
    /// Requests that were acknowledged.
    pub requests: u64,
    /// Spans, data points or log records in them.
    pub records: u64,
    /// Bytes that were written for them.
    pub bytes: u64,
}

/// Requests that were refused for good in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// In which way.
    pub kind: RefusedAs,
    /// How many.
    pub requests: u64,
    /// Why the latest was.
    pub reason: String,
    /// What the sender of the latest calls itself.
    pub user_agent: Option<String>,
    /// What can be done about it.
    pub advice: String,
}

/// Why a request is refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedAs {
    /// It isn't OTLP: its content doesn't decompress or decode, or holds an id of the wrong length.
    Malformed,
    /// It is larger than a request may be.
    TooLarge,
    /// It is compressed in a way that can't be read.
    UnknownEncoding,
    /// It is neither protobuf nor JSON.
    UnknownContentType,
    /// There is nothing at its path.
    UnknownPath,
    /// Its method isn't POST.
    UnknownMethod,
    /// A browser asked whether a page of another origin may send, and it may not.
    CrossOrigin,
    /// OTLP over HTTP came to the port of gRPC.
    HttpOnGrpcPort,
    /// OTLP over gRPC came to the port of HTTP.
    GrpcOnHttpPort,
    /// Its bytes aren't HTTP at all: TLS, or another protocol.
    NotHttp,
    /// Its sender broke off in the middle, or took too long.
    BrokenOff,
}

/// What was sent on, in records: spans, data points and log records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardStats {
    /// The receiver has taken them.
    pub sent_records: u64,
    /// They found no room in the queue, or the receiver refused them or wasn't there in time.
    pub lost_records: u64,
    /// The receiver takes nothing of their signal, as Jaeger takes no metrics.
    pub unsupported_records: u64,
    /// They are in the queue.
    pub waiting_records: u64,
}

/// An account's number in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderId(usize);

/// How many requests that were told to come again are recognized when they do. Any more count as not come.
const AWAITED: usize = 1 << 16;
/// Characters of a text that a sender chose.
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
    /// Who was told to come again, by the digest of the request.
    awaited: HashMap<u64, SenderId>,
    refused_connections: u64,
    last_file_error: Option<String>,
    last_forward_error: Option<String>,
    is_closed: bool,
}

/// What can be done about a refusal. Some of it depends on the ports.
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

    /// What came since `earlier`, which is an older snapshot of the same capture.
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

    /// Requests that were refused for good, in whatever way.
    pub fn refused_requests(&self) -> u64 {
        self.refused.iter().map(|refused| refused.requests).sum()
    }

    /// Requests that were refused for good in that way.
    pub fn refused_as(&self, kind: RefusedAs) -> u64 {
        let of_kind = self.refused.iter().filter(|refused| refused.kind == kind);
        of_kind.map(|refused| refused.requests).sum()
    }

    /// Requests whose last answer was to come again, and that did not.
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

    /// Adds a way of being refused, of which `other` is the latest.
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
        // A request that was told to come again before may have come since.
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

    /// The account of a sender, which is opened where there is room for another.
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

    /// Counts a request that was refused for good.
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

    /// Counts a request that was told to come again. It is recognized by its digest, where that is known.
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

    /// Notes that a request came, which may be one that was told to come again.
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

    /// Counts records that are to be sent on.
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

    /// Counts what still waits to be sent on as lost.
    pub(crate) fn abandon_forwarding(&self) {
        for sender in &mut self.book().senders {
            let forward = &mut sender.account.forward;
            forward.lost_records += std::mem::take(&mut forward.waiting_records);
        }
    }

    /// From now on a request that breaks off does so because the ports are closed.
    pub(crate) fn close(&self) {
        self.book().is_closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.book().is_closed
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let book = self.book();
        let mut senders = book.senders.clone();
        // In the order in which they came, and those who can't be told apart last.
        senders.sort_by_key(|sender| sender.who == Who::Others);
        Stats {
            senders,
            refused_connections: book.refused_connections,
            last_file_error: book.last_file_error.clone(),
            last_forward_error: book.last_forward_error.clone(),
        }
    }

    /// A text that quotes a sender, as it may be kept: without secrets, and not too long.
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

    /// The account of what is sent on, less `records` that no longer wait.
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
