//! The way to a run's spans, whoever stores them, and to its metrics and logs, where a capture of ours has them.

use std::path::Path;
use std::time::Duration;

use otlp_capture::Secrets;
use supervise::{Failure, Result};

use crate::spans::fetch::Fetch;
use crate::spans::follow::Follow;
use crate::spans::live::Live;

/// Where its spans are read.
#[derive(Debug)]
pub enum Spans {
    /// The run's own capture, which passes each line on after writing it.
    Captured,
    /// They come to the capture of a stack that stays.
    Followed([Follow; 3]),
    /// They come to a store that is asked for them.
    Fetched(Fetch),
}

/// How often the capture of a stack that stays is looked at while a program runs: often enough for its rotation.
const FOLLOW_POLL: Duration = Duration::from_millis(200);

impl Spans {
    /// Redacts secrets in the spans that are read. The run's own capture redacts them itself.
    pub fn keep_out(&mut self, secrets: &Secrets) {
        match self {
            Self::Captured => {}
            Self::Followed(signals) => {
                for follow in signals {
                    follow.secrets = secrets.clone();
                }
            }
            Self::Fetched(fetch) => fetch.secrets = secrets.clone(),
        }
    }

    /// Reads spans that would be lost once the program has ended. Returns if there can't be any.
    pub async fn lost(&mut self, folder: &Path, live: &Live) -> Failure {
        let Self::Followed(_) = self else {
            return std::future::pending().await;
        };
        loop {
            if let Err(failure) = self.take_in(folder, live).await {
                return failure;
            }
            tokio::time::sleep(FOLLOW_POLL).await;
        }
    }

    /// Copies the spans that arrived since the last call into the run's folder, and feeds them to `live`.
    pub async fn take_in(&mut self, folder: &Path, live: &Live) -> Result<()> {
        match self {
            Self::Captured => Ok(()),
            Self::Followed(signals) => signals
                .iter_mut()
                .try_for_each(|follow| follow.take_in(folder, live)),
            Self::Fetched(fetch) => fetch.take_in(&folder.join("capture.jsonl"), live).await,
        }
    }
}
