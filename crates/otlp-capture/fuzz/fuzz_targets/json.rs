#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| otlp_capture_fuzz::json(data));
