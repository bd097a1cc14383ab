//! The engine from the outside: real captures in, verdicts out.

mod clean;
mod faults;
mod fixtures;
mod readers;
mod support;
