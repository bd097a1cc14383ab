#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trace_parity_fuzz::jaeger_json(data));
