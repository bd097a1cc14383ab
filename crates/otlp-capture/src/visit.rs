//! One request from its head to its end, and its connection.

use crate::ledger::{Ledger, SenderId, Who};
use crate::refusal::Refusal;
use hyper::header::{HeaderMap, USER_AGENT};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// A peer, and the sender of its connection, as far as its requests have shown.
#[derive(Debug)]
pub(crate) struct Connection {
    peer: IpAddr,
    known: Mutex<Known>,
    /// The number of requests in progress.
    visits: watch::Sender<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nobody,
    One(SenderId),
    /// An unreadable request could be from any of them.
    Several,
}

/// A request in progress. If it is dropped, it was interrupted.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    ledger: &'a Ledger,
    connection: &'a Connection,
    user_agent: Option<String>,
    sender: Option<SenderId>,
    /// The digest that identifies the request when it is retried.
    digest: Option<u64>,
    is_decided: bool,
}

impl Connection {
    pub(crate) fn of(peer: IpAddr) -> Self {
        Self {
            peer,
            known: Mutex::new(Known::Nobody),
            visits: watch::Sender::new(0),
        }
    }

    /// Returns when no request has been in progress for this long.
    pub(crate) async fn idle_for(&self, time: Duration) {
        let mut visits = self.visits.subscribe();
        loop {
            // The sender lives as long as `self`.
            let _ = visits.wait_for(|visits| *visits == 0).await;
            if timeout(time, visits.changed()).await.is_err() {
                return;
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Visit<'a> {
    pub(crate) fn begin(
        ledger: &'a Ledger,
        connection: &'a Connection,
        headers: &HeaderMap,
    ) -> Self {
        let user_agent = headers.get(USER_AGENT);
        connection.visits.send_modify(|visits| *visits += 1);
        Self {
            ledger,
            connection,
            user_agent: user_agent
                .map(|name| ledger.text(&String::from_utf8_lossy(name.as_bytes()))),
            sender: None,
            digest: None,
            is_decided: false,
        }
    }

    /// Notes the sender of the request.
    pub(crate) fn identify(&mut self, who: Who) {
        let sender = self.ledger.sender(who, self.user_agent.as_deref());
        self.sender = Some(sender);
        let mut known = self.connection.known();
        *known = match *known {
            Known::Nobody => Known::One(sender),
            Known::One(other) if other == sender => Known::One(sender),
            Known::One(_) | Known::Several => Known::Several,
        };
    }

    /// Notes the digest of the request, and whether it is a retry.
    pub(crate) fn recognize(&mut self, digest: u64) {
        self.digest = Some(digest);
        self.ledger.came(digest);
    }

    /// The account in which the caller counts the request from now on.
    pub(crate) fn hand_over(&mut self) -> SenderId {
        self.is_decided = true;
        self.sender()
    }

    /// Counts a refusal, unless the request is already counted, and returns the response.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) -> String {
        let message = self.ledger.text(&refusal.to_string());
        if !self.is_decided {
            self.count(refusal, &message);
        }
        message
    }

    fn count(&mut self, refusal: &Refusal, message: &str) {
        let sender = self.hand_over();
        tracing::debug!(message, peer = ?self.connection.peer, "refused a request");
        match refusal.kind() {
            Some(kind) => {
                let user_agent = self.user_agent.as_deref();
                self.ledger.refused(sender, kind, message, user_agent);
            }
            None => self.ledger.asked_again(sender, self.digest),
        }
    }

    pub(crate) fn digest(&self) -> Option<u64> {
        self.digest
    }

    pub(crate) fn sender(&self) -> SenderId {
        let known = match *self.connection.known() {
            Known::One(sender) => Some(sender),
            Known::Nobody | Known::Several => None,
        };
        self.sender.or(known).unwrap_or_else(|| {
            let peer = Who::Peer {
                address: self.connection.peer,
                user_agent: self.user_agent.clone(),
            };
            self.ledger.sender(peer, self.user_agent.as_deref())
        })
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if !self.is_decided {
            let refusal = if self.ledger.is_closed() {
                Refusal::Stopping
            } else {
                Refusal::Broken
            };
            self.refuse(&refusal);
        }
        self.connection.visits.send_modify(|visits| *visits -= 1);
    }
}
