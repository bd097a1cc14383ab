//! The engine under faults, variations and large inputs.

mod clean;
mod faults;
mod large;
mod mutations;
mod signals;
mod support;
