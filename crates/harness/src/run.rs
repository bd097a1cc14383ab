//! A run: programs are run against a stack, their spans settle, are judged and reported.

pub mod baseline;
pub mod environment;
pub mod examples;
pub mod exec;
pub mod history;
pub mod judge;
pub mod life;
pub mod program;
mod read_back;
pub mod report;
pub mod scrape;
pub mod settings;
pub mod settle;
pub mod trace;
