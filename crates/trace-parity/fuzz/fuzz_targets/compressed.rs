//! A gzip or zstd stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trace_parity::{Contract, Input, judge, read};

fuzz_target!(|data: &[u8]| {
    let zstd = data.len() % 2 == 1;
    let magic: &[u8] = if zstd { &[0x28, 0xb5, 0x2f, 0xfd] } else { &[0x1f, 0x8b, 8] };
    let bytes = [magic, data].concat();
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: &bytes,
    }]);
    let _ = judge(&traces, &problems, Some(&Contract::builtin()), None);
});
