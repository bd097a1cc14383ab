#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trace_parity_fuzz::otlp_json(data));
