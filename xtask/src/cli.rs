//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use harness::{CaptureArgument, SECRET_FLAG};
use supervise::{Failure, Result};
use trace_report::Detail;

/// Traces a request end to end, from a client in any language into Milvus and back, and proves it.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) verbosity: Verbosity,
}

/// How much is said; an argument of every command.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Verbosity {
    /// Say the verdict and a line for each finding, and nothing while it goes on
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say notes, times and versions too, and what goes on even where nobody watches
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

impl From<Verbosity> for Detail {
    fn from(verbosity: Verbosity) -> Self {
        match verbosity {
            Verbosity { quiet: true, .. } => Self::Quiet,
            Verbosity { verbose: true, .. } => Self::Verbose,
            Verbosity { .. } => Self::Normal,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the stack up, run every example, compare what they export
    #[command(after_help = "Example: cargo xtask run-all --example py --example go")]
    RunAll(RunAll),
    /// Run one example and judge it by the contract alone
    #[command(after_help = "Example: cargo xtask run py")]
    Run(RunOne),
    /// Run any program and judge its spans, against the stack that is up or one brought up for it
    #[command(
        after_help = "Examples: cargo xtask exec -- opentelemetry-instrument python3 my_search.py\n          \
                      cargo xtask exec --contract my.toml -- ./server --once\n\n\
                      Without a contract the rules that need none apply. The program's standard input is empty; with a\n\
                      --format other than text its standard output goes to standard error."
    )]
    Exec(Exec),
    /// Judge captured traces side by side
    #[command(after_help = "Example: cargo xtask compare before=old.jsonl after=new.jsonl")]
    Compare(Compare),
    /// Say what changed from one capture to another
    ///
    /// Exits with 1 where something did.
    #[command(after_help = "Example: cargo xtask diff before.jsonl target/milvus-otel/runs/latest")]
    Diff(Diff),
    /// Keep a run as the baseline that `run-all --baseline` holds others to
    #[command(after_help = "Example: cargo xtask accept")]
    Accept(Accept),
    /// Show a trace as a tree
    #[command(after_help = "Example: cargo xtask trace 4bf92f35")]
    Trace(Trace),
    /// Say where a run's page is, or open it
    #[command(after_help = "Example: cargo xtask report --open")]
    Report(Report),
    /// List the runs that are kept, newest first
    ///
    /// The newest 20 are kept, and every one whose folder under target/milvus-otel/runs was given another name.
    #[command(after_help = "Example: cargo xtask list")]
    List,
    /// Start Milvus and the capture on the tutorial's ports, and leave them up
    #[command(
        after_help = "Example: cargo xtask up && python3 test_milvus_otel.py && cargo xtask trace"
    )]
    Up(Up),
    /// Stop what `up` started
    #[command(after_help = "Example: cargo xtask down")]
    Down,
    /// Tell what is up, since when and where
    #[command(after_help = "Example: cargo xtask status")]
    Status,
    /// Say what a rule means, what usually causes it, and the cure
    #[command(after_help = "Example: cargo xtask explain context-lost")]
    Explain(Explain),
    /// Look for what would stop a run or keep spans away, and say its cure
    #[command(after_help = "Example: cargo xtask doctor\n\n\
                      Looks at this machine, at the current folder and those in it, and at the stack that is up. Ends with 1 where\n\
                      something would stop the next `run-all`, or the traces of a stack that is up.")]
    Doctor(Doctor),
    /// Install and build what a run needs, without running
    #[command(after_help = "Example: cargo xtask prepare --example java")]
    Prepare(Selection),
    /// Measure which versions keep a trace whole, and draw the map
    #[command(after_help = "Example: cargo xtask matrix --example java --variant 'agent*'")]
    Matrix(Matrix),
    /// Find the version at which an example's trace changes
    #[command(after_help = "Example: cargo xtask bisect java --axis agent --from 2.20")]
    Bisect(Bisect),
    /// Formatting, lints and documentation, in every language
    #[command(after_help = "Example: cargo xtask check")]
    Check,
    /// Measure, in release builds, beside what others cost
    #[command(after_help = "Example: cargo xtask bench faults")]
    Bench(Bench),
    /// All tests, the real end-to-end run included
    #[command(after_help = "Example: cargo xtask test --slow")]
    Test(Test),
    /// Stands between the runner and a program it started
    #[command(name = supervise::GUARD_COMMAND, hide = true)]
    Guard(Guard),
    /// Holds the stack that `up` started
    #[command(name = harness::KEEPER_COMMAND, hide = true)]
    KeepStack(Up),
}

#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only this example; may be given several times
    #[arg(long = "example", value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// A folder with an example.toml, or of such folders, that joins the built-in examples
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
    /// Leave the stack up after the report, until Ctrl-C
    #[arg(long)]
    pub(crate) keep_up: bool,
    /// Open the report in the browser
    #[arg(long)]
    pub(crate) open: bool,
    /// Fail on a difference from the run that was accepted [default file: baseline.txt]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub(crate) baseline: Option<Option<PathBuf>>,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// Which Milvus the examples talk to, and where spans go.
#[derive(Debug, Args)]
pub(crate) struct StackArguments {
    /// A Milvus of the run's own, the tutorial's in Docker, or one that somebody else runs
    #[arg(long, value_enum, default_value_t = Stack::Embedded)]
    pub(crate) stack: Stack,
    /// Where the embedded stack's spans go; `jaeger` is built from its Go module the first time, which takes minutes
    #[arg(long, value_enum, default_value_t = Backend::Capture)]
    pub(crate) backend: Backend,
    /// External: Milvus, as clients take it [or $MILVUS_OTEL_MILVUS_URI]
    #[arg(long, value_name = "URI")]
    pub(crate) milvus_uri: Option<String>,
    /// External: where programs send spans, OTLP over gRPC [or $MILVUS_OTEL_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// External: Jaeger's query API, where the spans are read back [or $MILVUS_OTEL_TRACES_FROM]
    #[arg(long, value_name = "URL")]
    pub(crate) traces_from: Option<String>,
    /// External: who vouches for an `https` query API, PEM, instead of the system's authorities [or $MILVUS_OTEL_CA_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// External: a file that says all of this, as `[external]` [default: milvus-otel.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// External: a header of each query, such as `authorization: Bearer TOKEN` [or $MILVUS_OTEL_HEADER]
    #[arg(long = SECRET_FLAG, value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stack {
    Embedded,
    Compose,
    External,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Capture,
    Jaeger,
}

#[derive(Debug, Args)]
pub(crate) struct RunOne {
    /// The example's name
    pub(crate) example: String,
    /// A folder with an example.toml, or of such folders, that joins the built-in examples
    #[arg(long = "examples", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    #[command(flatten)]
    pub(crate) stack: StackArguments,
    #[command(flatten)]
    pub(crate) judging: Judging,
    #[command(flatten)]
    pub(crate) auth: Auth,
    #[command(flatten)]
    pub(crate) redaction: Redaction,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// A capture file, a folder of them, a run's folder, or `-` for standard input, with a name for its trace where its own won't do
    #[arg(value_name = "[NAME=]CAPTURE", required = true)]
    pub(crate) captures: Vec<CaptureArgument>,
    /// Compare only traces whose id begins with this
    #[arg(long, value_name = "ID")]
    pub(crate) trace: Option<String>,
    /// Compare only traces that this service has spans in
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Compare only traces that began since a time (2026-11-27T10:00:00Z) or within a stretch (10m)
    #[arg(long, value_name = "TIME", value_parser = harness::since)]
    pub(crate) since: Option<u64>,
    /// Write the result to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// How a verdict is reached and told.
#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// The contract to judge by, instead of the tutorial's; for `compare`, `none` leaves the rules that need no contract
    #[arg(long, value_name = "FILE")]
    pub(crate) contract: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    pub(crate) fail_on: FailOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Junit,
    Markdown,
    /// Annotations, as GitHub reads them from a step's output
    Github,
    Html,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Error,
    Warning,
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A trace id or its beginning, a run's id, or a capture file [default: the newest run]
    #[arg(value_name = "ID|RUN|FILE")]
    pub(crate) what: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// A capture file, a folder, a run's id, or the id of a trace of the newest run
    pub(crate) before: CaptureArgument,
    /// Another
    pub(crate) after: CaptureArgument,
    /// Leave out an aspect (time, count, value, ...) or whatever names this; may be given several times
    #[arg(long, value_name = "WHAT")]
    pub(crate) ignore: Vec<String>,
    /// The contract that names the steps, instead of the tutorial's
    #[arg(long, value_name = "FILE")]
    pub(crate) contract: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// The run's id [default: the newest run]
    pub(crate) run: Option<String>,
    /// Where the baseline is written [default: baseline.txt]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The run's id [default: the newest run]
    pub(crate) run: Option<String>,
    /// Open it in the browser
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The rule's name; without one, all are listed
    pub(crate) rule: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure
    #[arg(value_enum)]
    pub(crate) what: Benchmark,
    /// For the benchmark itself
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
    /// Which faults the rules find in broken captures
    Faults,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Also what takes longer than 20 minutes
    #[arg(long)]
    pub(crate) slow: bool,
    /// Install the Debian packages that some tests need, as CI does
    #[arg(long)]
    pub(crate) install: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Up {
    /// Where spans go on to; `jaeger` is built from its Go module the first time, which takes minutes
    #[arg(long, value_enum, default_value_t = Backend::Capture)]
    pub(crate) backend: Backend,
    #[command(flatten)]
    pub(crate) auth: Auth,
}

#[derive(Debug, Args)]
pub(crate) struct Matrix {
    /// Only this example; may be given several times
    #[arg(long = "example", value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// A folder with an example.toml, or of such folders, that joins the built-in examples
    #[arg(long = "examples", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// Only variants whose name has this in it, or fits where it has `*`
    #[arg(long, value_name = "PATTERN")]
    pub(crate) variant: Option<String>,
    /// Only what was never measured as it is now
    #[arg(long)]
    pub(crate) changed: bool,
    /// Variants prepared at a time; they run one after the other [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// Another list of variants than matrix.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// Measure nothing: draw the map of what was measured before
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
    /// A folder with an example.toml, or of such folders, that joins the built-in examples
    #[arg(long = "examples", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// Another list of axes than matrix.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
}

/// Whether Milvus asks who its clients are.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Auth {
    /// Milvus asks its clients for a token, which they get as MILVUS_TOKEN; embedded stack only
    #[arg(long)]
    pub(crate) auth: bool,
}

/// What is kept out of a run's folder.
#[derive(Clone, Debug, Args)]
pub(crate) struct Redaction {
    /// Star this text out, in clear and in base64, of all that is captured, logged and reported
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) redact: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Guard {
    #[arg(long, value_name = "MS")]
    pub(crate) grace_ms: u64,
    /// A word of the command that is run once the program has ended
    #[arg(long, value_name = "WORD")]
    pub(crate) afterwards: Vec<String>,
    #[arg(last = true, required = true)]
    pub(crate) program: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String)> {
    text.split_once('=')
        .map(|(axis, version)| (axis.to_owned(), version.to_owned()))
        .ok_or_else(|| Failure::new("it needs an axis, `=` and a version"))
}
