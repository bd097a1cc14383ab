//! One message, behind its length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trace_parity::{Contract, Input, judge, read};

fuzz_target!(|data: &[u8]| {
    let bytes = [&(data.len() as u32).to_be_bytes()[..], data].concat();
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: &bytes,
    }]);
    let _ = judge(&traces, &problems, Some(&Contract::builtin()), None);
});
