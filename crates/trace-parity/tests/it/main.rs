//! The engine from the outside: real captures in, verdicts out.

mod changes;
mod clean;
mod corpus;
mod faults;
mod fixtures;
mod foreign;
mod readers;
mod shapes;
mod support;
mod words;
