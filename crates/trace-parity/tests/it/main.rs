//! The engine from the outside: real captures in, verdicts out.

mod advice;
mod cases;
mod changes;
mod corpus;
mod exports;
mod fixtures;
mod foreign;
mod hints;
mod kinds;
mod operations;
mod programs;
mod readers;
mod shapes;
mod siblings;
mod support;
mod wire;
mod words;
