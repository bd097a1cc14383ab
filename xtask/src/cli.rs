//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use milvus_otel_cli::Verbosity;
use milvus_otel_cli::cli::{Auth, Baseline, Judging, Redaction, StackArguments, WireArguments};
use supervise::{Failure, Result};

/// Traces a request end to end, from a client in any language into Milvus and back, and proves it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) verbosity: Verbosity,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the stack up, run every example, compare what they export
    #[command(after_help = "Example: {program} run-all --example py --example go")]
    RunAll(RunAll),
    /// Run one example and judge it by the contract alone
    #[command(after_help = "Example: {program} run py")]
    Run(RunOne),
    #[command(flatten)]
    Common(milvus_otel_cli::Command),
    /// Install and build what a run needs, without running
    #[command(after_help = "Example: {program} prepare --example java")]
    Prepare(Selection),
    /// Measure which versions keep a trace whole, and draw the map
    #[command(after_help = "Example: {program} matrix --example java --variant 'agent*'")]
    Matrix(Matrix),
    /// Find the version at which an example's trace changes
    #[command(after_help = "Example: {program} bisect java --axis agent --from 2.20")]
    Bisect(Bisect),
    /// Measure what each language makes of a failure, and draw the map
    #[command(after_help = "Example: {program} failures --fault restart --example py")]
    Failures(Failures),
    /// Check formatting, lints and documentation, in every language
    #[command(after_help = "Example: {program} check")]
    Check,
    /// Measure, in release builds, beside the costs of other libraries
    #[command(after_help = "Example: {program} bench faults")]
    Bench(Bench),
    /// Run all tests, the real end-to-end run included
    #[command(after_help = "Example: {program} test --slow")]
    Test(Test),
    /// Build the Python wheel of the program `milvus-otel`
    #[command(
        after_help = "Example: {program} wheel && pip install target/wheels/milvus_otel-*.whl"
    )]
    Wheel(Wheel),
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Wheel {
    /// Build without optimization, as the tests do: quick, and four times the size
    #[arg(long)]
    pub(crate) debug: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Use only this example; can be repeated
    #[arg(long = "example", value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Add the example in this folder, or the examples in its subfolders
    #[arg(long = "examples", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunAll {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Examples at a time [default: all of them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// How often each example runs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) repeat: u16,
    #[command(flatten)]
    pub(crate) stack: StackArguments,
    #[command(flatten)]
    pub(crate) auth: Auth,
    #[command(flatten)]
    pub(crate) redaction: Redaction,
    #[command(flatten)]
    pub(crate) wire: WireArguments,
    /// Leave the stack up after the report, until Ctrl-C
    #[arg(long, conflicts_with_all = ["witness", "mend", "faults"])]
    pub(crate) keep_up: bool,
    /// Open the report in the browser
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) baseline: Baseline,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

#[derive(Debug, Args)]
pub(crate) struct RunOne {
    /// The example's name
    pub(crate) example: String,
    /// Add the example in this folder, or the examples in its subfolders
    #[arg(long = "examples", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) wire: WireArguments,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure
    #[arg(value_enum)]
    pub(crate) what: Benchmark,
    /// Arguments of the benchmark
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Benchmark {
    /// What tracing adds to a Milvus call
    Client,
    /// How fast traces are read and judged
    Compare,
    /// What receiving and storing costs
    Capture,
    /// What recording calls costs, beside nginx's `grpc_pass`
    Witness,
    /// Which faults the rules find in broken captures
    Faults,
}

/// The slow tests, by what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SlowSuite {
    Engine,
    Capture,
    Client,
    Witness,
    Runs,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Run the slow tests too; docs/slow-tests.json keeps the last result of each suite
    #[arg(long)]
    pub(crate) slow: bool,
    /// Only this suite of slow tests; may be given several times
    #[arg(long, value_enum, value_name = "SUITE")]
    pub(crate) suite: Vec<SlowSuite>,
    /// Install the Debian packages that some tests need, as CI does
    #[arg(long)]
    pub(crate) install: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Matrix {
    /// Use only this example; can be repeated
    #[arg(long = "example", value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Add the example in this folder, or the examples in its subfolders
    #[arg(long = "examples", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// Measure only variants whose name contains this text or matches this pattern, as `agent*`
    #[arg(long, value_name = "PATTERN")]
    pub(crate) variant: Option<String>,
    /// Measure only variants that changed after their last measurement
    #[arg(long)]
    pub(crate) changed: bool,
    /// Variants prepared at a time; they run one after the other [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// Another list of variants than matrix.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// Draw the map from earlier measurements, without measuring
    #[arg(long, conflicts_with_all = ["changed", "jobs", "update"])]
    pub(crate) draw: bool,
    /// Measure nothing: propose newer versions for the variants marked `newest`
    #[arg(long, conflicts_with_all = ["changed", "jobs", "write"])]
    pub(crate) update: bool,
    /// Write docs/compatibility.md, and its JSON and schema
    #[arg(long, conflicts_with = "plan")]
    pub(crate) write: bool,
    #[arg(long, value_enum, default_value_t = MapFormat::Text)]
    pub(crate) format: MapFormat,
}

/// How the map is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MapFormat {
    Text,
    Json,
    Markdown,
    Html,
}

#[derive(Debug, Args)]
pub(crate) struct Failures {
    /// Only this failure; can be repeated
    #[arg(long = "fault", value_name = "NAME")]
    pub(crate) faults: Vec<String>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How often each example meets each failure
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) repeat: u16,
    /// Programs at a time
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Draw the map from earlier measurements, without measuring
    #[arg(long, conflicts_with_all = ["faults", "only", "folders"])]
    pub(crate) draw: bool,
    /// Write docs/failures.md, and its JSON and schema
    #[arg(long, conflicts_with = "folders")]
    pub(crate) write: bool,
    #[arg(long, value_enum, default_value_t = FailuresFormat::Text)]
    pub(crate) format: FailuresFormat,
}

/// How the failures map is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailuresFormat {
    Text,
    Json,
    Markdown,
}

#[derive(Debug, Args)]
pub(crate) struct Bisect {
    /// The example's name
    pub(crate) example: String,
    /// The axis of matrix.toml whose versions are tried
    #[arg(long, value_name = "AXIS")]
    pub(crate) axis: String,
    /// The oldest version; `2.20` is the first 2.20.x [default: the example's own]
    #[arg(long, value_name = "VERSION")]
    pub(crate) from: Option<String>,
    /// The newest version [default: the registry's newest]
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<String>,
    /// A version of another axis, for all that is tried, `*` for any that fits; may be given several times
    #[arg(long = "with", value_name = "AXIS=VERSION", value_parser = pair)]
    pub(crate) with: Vec<(String, String)>,
    /// Add the example in this folder, or the examples in its subfolders
    #[arg(long = "examples", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// Another list of axes than matrix.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String)> {
    text.split_once('=')
        .map(|(axis, version)| (axis.to_owned(), version.to_owned()))
        .ok_or_else(|| Failure::new("it needs an axis, `=` and a version"))
}
