//! The engine's live join of a run, fed line by line as spans arrive.

use std::sync::{Arc, Mutex, PoisonError};

use trace_parity::{Contract, Settlement};

/// The engine's live join, fed by the capture as requests arrive.
pub type Live = Arc<Mutex<Settlement>>;

/// Makes live joins for a run's programs, each from the beginning.
pub type Fresh = Box<dyn Fn() -> Settlement + Send>;

pub fn fresh(contract: &Contract, run: Option<String>, names: Vec<String>) -> Fresh {
    let contract = contract.clone();
    Box::new(move || {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Settlement::new(contract.clone(), run.as_deref(), &names)
    })
}

pub fn live(fresh: &Fresh) -> Live {
    Arc::new(Mutex::new(fresh()))
}

/// Gives the live join one line of a capture.
pub fn feed(live: &Live, line: &[u8]) {
    live.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .feed(line);
}
