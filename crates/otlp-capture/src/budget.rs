//! A fixed amount of memory for requests, from their first received byte until they are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[derive(Clone, Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    capacity: usize,
}

/// One request's part of the budget. Dropping it returns the part.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            used: Arc::default(),
            capacity,
        }
    }

    pub(crate) fn reserve(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

impl Reservation {
    /// Changes the reserved amount, unless too little is left. A request that is alone always gets
    /// its amount, so that no request is refused forever.
    #[must_use]
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let (own, capacity) = (self.bytes, self.budget.capacity);
        let resized = self.budget.used.fetch_update(Relaxed, Relaxed, |used| {
            let others = used - own;
            let fits = bytes <= own || others == 0 || others + bytes <= capacity;
            fits.then_some(others + bytes)
        });
        if resized.is_ok() {
            self.bytes = bytes;
        }
        resized.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_what_is_left_and_everything_when_it_is_alone() {
        let budget = Budget::new(100);
        let mut first = budget.reserve();
        let mut second = budget.reserve();
        assert!(first.resize(60));
        assert!(!second.resize(41), "41 of the 40 left");
        assert!(second.resize(40));
        assert!(!first.resize(61), "none left");
        assert!(first.resize(20), "less is always possible");
        assert!(second.resize(80));
        drop(first);
        assert!(second.resize(1_000), "alone");
        drop(second);
        assert_eq!(budget.used.load(Relaxed), 0);
    }
}
