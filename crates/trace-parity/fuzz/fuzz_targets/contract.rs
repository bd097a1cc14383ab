//! A contract is read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trace_parity::Contract;

fuzz_target!(|text: &str| {
    if let Err(error) = Contract::parse(text) {
        assert!((1..=1 + text.matches('\n').count()).contains(&error.line));
    }
});
