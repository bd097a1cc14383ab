//! The arguments that every program with these commands takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use harness::{CaptureArgument, SECRET_FLAG, WireOptions};

use trace_report::Detail;

/// A command line with the program's own name in its examples.
pub fn named(command: clap::Command, program: &str) -> clap::Command {
    let is_typed =
        |text: &clap::builder::StyledStr| text.to_string().replace(harness::PROGRAM, program);
    let after = command.get_after_help().map(is_typed);
    let command = match after {
        Some(after) => command.after_help(after),
        None => command,
    };
    let command = command.mut_subcommands(|one| named(one, program));
    command.bin_name(program.to_owned())
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run any program and judge its spans, against the stack that is up or one brought up for it
    #[command(
        after_help = "Examples: {program} exec -- opentelemetry-instrument python3 my_search.py\n          \
                      {program} exec --for 60s -- uvicorn my_service:app\n\n\
                      The program gets MILVUS_URI, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_METRICS_EXPORTER\n\
                      and OTEL_LOGS_EXPORTER unless they are set, and an empty standard input. Ctrl-C ends it and judges its spans; a second Ctrl-C gives up. With a --format\n\
                      other than text its standard output goes to standard error."
    )]
    Exec(Box<Exec>),
    /// Judge captured traces side by side
    #[command(after_help = "Example: {program} compare before=old.jsonl after=new.jsonl")]
    Compare(Compare),
    /// List the changes from one capture to another
    ///
    /// Exits with 1 where there are any.
    #[command(after_help = "Example: {program} diff before.jsonl after.jsonl")]
    Diff(Diff),
    /// Show where the time of calls goes, stage by stage, and why the slowest call is slow
    #[command(after_help = "Examples: {program} breakdown --step search\n          \
                      {program} breakdown capture.jsonl --by language\n          \
                      {program} breakdown before.jsonl after.jsonl\n\n\
                      The times of stages, and of what no stage explains, add up to the call's duration. Two inputs are compared:\n\
                      which stage made the second one slower.")]
    Breakdown(Breakdown),
    /// Keep a run as the baseline that `--baseline` compares later runs with
    #[command(after_help = "Example: {program} accept")]
    Accept(Accept),
    /// Show a trace as a tree
    #[command(
        after_help = "Example: {program} trace 4bf92f35\n         {program} trace --logs --call Search"
    )]
    Trace(Trace),
    /// Print the path of a run's page, or open it
    #[command(after_help = "Example: {program} report --open")]
    Report(Report),
    /// List the runs that are kept, newest first
    ///
    /// The newest 20 are kept, and every run whose folder was renamed.
    #[command(after_help = "Example: {program} list")]
    List,
    /// Start Milvus and the capture on the tutorial's ports, and leave them up
    #[command(
        after_help = "Example: {program} up && python3 test_milvus_otel.py && {program} trace"
    )]
    Up(Up),
    /// Stop the stack that `up` started
    #[command(after_help = "Example: {program} down")]
    Down,
    /// Show which stack is up, since when and where
    #[command(after_help = "Example: {program} status")]
    Status,
    /// Print the page of a rule: its meaning, usual causes and cure
    #[command(after_help = "Example: {program} explain context-lost")]
    Explain(Explain),
    /// Look for causes of lost spans and failing runs, each with its cure
    #[command(after_help = "Example: {program} doctor\n\n\
                      Looks at this machine, at the current folder and those in it, and at the stack that is up. Exits with 1 where\n\
                      something would stop the next run, or the traces of a stack that is up.")]
    Doctor(Doctor),
    /// Show the lines that make the traces of the current folder's project whole, with the reason of each
    #[command(after_help = "Examples: {program} init\n          \
                      {program} init --write -- python3 my_search.py\n\n\
                      Knows Python, Node, Go and Java by their lists of dependencies. Versions are the newest of the compatibility map\n\
                      that keep a trace whole.")]
    Init(Init),
    /// Stands between the runner and a program it started
    #[command(name = supervise::GUARD_COMMAND, hide = true)]
    Guard(Guard),
    /// Holds the stack that `up` started
    #[command(name = harness::KEEPER_COMMAND, hide = true)]
    KeepStack,
}

/// How much is said; an argument of every command.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Verbosity {
    /// Print only the verdict and a line for each finding, without progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print notes, times, versions and progress too; twice: also each program started, each wait and each decision
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl From<Verbosity> for Detail {
    fn from(verbosity: Verbosity) -> Self {
        match verbosity {
            Verbosity { quiet: true, .. } => Self::Quiet,
            Verbosity { verbose: 0, .. } => Self::Normal,
            Verbosity { .. } => Self::Verbose,
        }
    }
}

/// Which Milvus the examples talk to, and where spans go.
#[derive(Debug, Args)]
pub struct StackArguments {
    /// A Milvus of the run's own, the tutorial's in Docker, or one that somebody else runs
    #[arg(long, value_enum, default_value_t = Stack::Embedded)]
    pub stack: Stack,
    /// Where the embedded stack's spans go; `jaeger` is built from its Go module the first time, which takes minutes
    #[arg(long, value_enum, default_value_t = Backend::Capture)]
    pub backend: Backend,
    /// External: Milvus, as clients take it [or $MILVUS_OTEL_MILVUS_URI]
    #[arg(long, value_name = "URI")]
    pub milvus_uri: Option<String>,
    /// External: where programs send spans, OTLP over gRPC [or $MILVUS_OTEL_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// External: Jaeger's query API, where the spans are read back [or $MILVUS_OTEL_TRACES_FROM]
    #[arg(long, value_name = "URL")]
    pub traces_from: Option<String>,
    /// External: the certificate authorities of an `https` query API, in PEM format, instead of the system's [or $MILVUS_OTEL_CA_FILE]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// External: a file with these settings, as `[external]` [default: milvus-otel.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// External: a header of each query, such as `authorization: Bearer TOKEN` [or $MILVUS_OTEL_HEADER]
    #[arg(long = SECRET_FLAG, value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stack {
    Embedded,
    Compose,
    External,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    Capture,
    Jaeger,
}

#[derive(Debug, Args)]
pub struct Exec {
    #[command(flatten)]
    pub stack: StackArguments,
    #[command(flatten)]
    pub judging: Judging,
    #[command(flatten)]
    pub auth: Auth,
    #[command(flatten)]
    pub redaction: Redaction,
    #[command(flatten)]
    pub origins: Origins,
    #[command(flatten)]
    pub baseline: Baseline,
    #[command(flatten)]
    pub wire: WireArguments,
    /// End the program after so long, such as 60s or 5m, and judge what it exported
    #[arg(long = "for", value_name = "TIME", value_parser = harness::stretch)]
    pub limit: Option<std::time::Duration>,
    /// The program's name in the report [default: the name of its script, module or file]
    #[arg(long, value_parser = crate::name::program_name)]
    pub name: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Compare {
    /// A capture file, a folder of them, a run's folder, or `-` for standard input, with a name for its trace where its own won't do
    #[arg(value_name = "[NAME=]CAPTURE", required = true)]
    pub captures: Vec<CaptureArgument>,
    /// Compare only traces whose id begins with this
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// Compare only traces that this service has spans in
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Compare only traces that began since a time (2026-11-27T10:00:00Z) or within a stretch (10m)
    #[arg(long, value_name = "TIME", value_parser = harness::since)]
    pub since: Option<u64>,
    /// Write the result to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub judging: Judging,
}

/// How a verdict is reached and told.
#[derive(Debug, Args)]
pub struct Judging {
    /// The contract to judge by, instead of the tutorial's; for `compare`, `none` leaves the rules that need no contract
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    pub fail_on: FailOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Junit,
    Markdown,
    /// Annotations, as GitHub reads them from a step's output
    Github,
    Html,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Error,
    Warning,
}

#[derive(Debug, Args)]
pub struct Trace {
    /// A trace id or its beginning, a run's id, or a capture file [default: the newest run]
    #[arg(value_name = "ID|RUN|FILE")]
    pub what: Option<String>,
    /// Show what programs and the server logged in each span
    #[arg(long)]
    pub logs: bool,
    /// Show only the slowest call of this method
    #[arg(long, value_name = "METHOD")]
    pub call: Option<String>,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// A capture file, a folder, a run's id, or the id of a trace of the newest run
    pub before: CaptureArgument,
    /// The capture file, folder, run or trace to compare with it
    pub after: CaptureArgument,
    /// Leave out an aspect (time, count, value, ...) or whatever names this; may be given several times
    #[arg(long, value_name = "WHAT")]
    pub ignore: Vec<String>,
    /// The contract that names the steps, instead of the tutorial's
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Breakdown {
    /// A capture file, a folder, a run's id, or the id of a trace of the newest run; two of them are compared [default: the newest run]
    #[arg(value_name = "RUN|ID|FILE", num_args = 0..=2)]
    pub captures: Vec<CaptureArgument>,
    /// Only the calls of this step or operation
    #[arg(long, value_name = "NAME")]
    pub step: Option<String>,
    /// What calls of one operation are told apart by
    #[arg(long, value_enum)]
    pub by: Option<BreakdownBy>,
    #[arg(long, value_enum, default_value_t = BreakdownFormat::Text)]
    pub format: BreakdownFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BreakdownBy {
    Language,
    Call,
    Collection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BreakdownFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct Accept {
    /// The run's id [default: the newest run]
    pub run: Option<String>,
    /// Accept a run with errors: they become what is expected
    #[arg(long)]
    pub with_errors: bool,
    /// Where the baseline is written [default: baseline.txt]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Report {
    /// The run's id [default: the newest run]
    pub run: Option<String>,
    /// Open it in the browser
    #[arg(long)]
    pub open: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The rule's name; without one, all are listed
    pub rule: Option<String>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Write a contract and a GitHub workflow beside the project, after showing them; an existing file is never overwritten
    #[arg(long)]
    pub write: bool,
    /// The command that starts the program
    #[arg(last = true)]
    pub command: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Where spans go on to; `jaeger` is built from its Go module the first time, which takes minutes
    #[arg(long, value_enum, default_value_t = Backend::Capture)]
    pub backend: Backend,
    #[command(flatten)]
    pub auth: Auth,
    #[command(flatten)]
    pub redaction: Redaction,
    #[command(flatten)]
    pub origins: Origins,
}

/// Whether Milvus asks who its clients are.
#[derive(Clone, Copy, Debug, Args)]
pub struct Auth {
    /// Require a token, which programs get as MILVUS_TOKEN; embedded stack only
    #[arg(long)]
    pub auth: bool,
}

/// What a run is compared with besides its contract.
#[derive(Clone, Debug, Args)]
pub struct Baseline {
    /// Fail on a difference from the run that was accepted [default file: baseline.txt]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub baseline: Option<Option<PathBuf>>,
}

/// Whether calls are recorded on their way to Milvus.
#[derive(Clone, Debug, Args)]
pub struct WireArguments {
    /// Record in wire.jsonl what each call to Milvus carries, and judge by it
    #[arg(long)]
    pub witness: bool,
    /// Rewrite contexts that old servers drop: trace flags 03 to 01, the first of two traceparents. Implies --witness
    #[arg(long)]
    pub mend: bool,
    /// Play a fault on the calls to Milvus: a built-in one, such as unavailable-once, or those of a plan's file. Implies --witness
    #[arg(long = "fault", value_name = "NAME|FILE")]
    pub faults: Vec<String>,
}

impl WireArguments {
    pub fn options(self) -> WireOptions {
        WireOptions {
            witness: self.witness,
            mend: self.mend,
            faults: self.faults,
        }
    }
}

/// What is kept out of a run's folder.
#[derive(Clone, Debug, Args)]
pub struct Redaction {
    /// Replace this text with stars, in clear and in base64, in everything captured, logged and reported
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub redact: Vec<String>,
}

/// Which web pages may send spans.
#[derive(Clone, Debug, Default, Args)]
pub struct Origins {
    /// Accept spans from web pages of this origin, such as http://localhost:3000, over OTLP/HTTP; embedded stack only
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub allow_origin: Vec<String>,
}

/// An origin as browsers send it: a scheme, a host, and a port unless it is the scheme's own.
fn origin(text: &str) -> Result<String, &'static str> {
    const FORM: &str =
        "expected an origin such as `http://localhost:3000`, without a path; `*` allows all";
    let (scheme, host) = match text {
        "*" => return Ok(text.to_owned()),
        _ => text.split_once("://").ok_or(FORM)?,
    };
    let is_plain = |part: &str, also: &str| {
        let fits =
            |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || also.contains(one);
        !part.is_empty() && part.chars().all(fits)
    };
    match is_plain(scheme, "+-.") && is_plain(host, "-.:[]_") {
        true => Ok(text.to_owned()),
        false => Err(FORM),
    }
}

#[derive(Debug, Args)]
pub struct Guard {
    #[arg(long, value_name = "MS")]
    pub grace_ms: u64,
    /// Ask the program to end by SIGINT first
    #[arg(long)]
    pub interrupt: bool,
    /// A word of the command that is run once the program has ended
    #[arg(long, value_name = "WORD")]
    pub afterwards: Vec<String>,
    #[arg(last = true, required = true)]
    pub program: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_the_form_in_which_browsers_send_it() {
        let check = |text: &str, is_one: bool| assert_eq!(origin(text).is_ok(), is_one, "{text}");
        check("http://localhost:3000", true);
        check("https://shop.example", true);
        check("http://[::1]:8080", true);
        check("*", true);
        check("http://localhost:3000/", false);
        check("HTTP://localhost", false);
        check("localhost:3000", false);
        check("http://", false);
        check("", false);
    }
}
