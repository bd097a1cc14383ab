//! Preparation of a run: checks requirements, installs and builds.

pub mod example;
pub mod fingerprint;
pub mod preflight;
pub mod task;
