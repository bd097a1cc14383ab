//! What has to be there before anything runs: looked for, installed, built.

pub mod example;
pub mod fingerprint;
pub mod preflight;
pub mod task;
