//! Lines that begin as JSON does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trace_parity::{Contract, Input, judge, read};

fuzz_target!(|data: &[u8]| {
    let bytes = [b"{", data].concat();
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: &bytes,
    }]);
    let _ = judge(&traces, &problems, Some(&Contract::builtin()), None);
});
