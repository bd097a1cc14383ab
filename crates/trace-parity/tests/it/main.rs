//! The engine from the outside: real captures in, verdicts out.

mod cases;
mod changes;
mod corpus;
mod exports;
mod fixtures;
mod foreign;
mod programs;
mod readers;
mod shapes;
mod support;
mod words;
