//! The whole output of each reporter for each kind of run.

mod breakdown;
mod browser;
mod build;
mod github;
mod html;
mod json;
mod junit;
mod markdown;
mod spans;
mod story;
mod terminal;
mod tree;
