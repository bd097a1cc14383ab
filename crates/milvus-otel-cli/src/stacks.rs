//! Which stack the command line and the environment name.

use harness::{External, ExternalSettings, StackChoice};
use supervise::{Failure, Result};

use crate::cli::{Auth, Backend, Origins, Stack, StackArguments};
use crate::place::workspace;

/// The stack that is asked for. A flag goes before its variable, and that before the file.
pub fn choice(arguments: &StackArguments, auth: Auth, origins: &Origins) -> Result<StackChoice> {
    refuse_strays(arguments)?;
    if !origins.allow_origin.is_empty() && arguments.stack != Stack::Embedded {
        return Err(
            Failure::new("`--allow-origin` can be used only with the embedded stack")
                .hint("set the origins in the receiver of that stack, such as `cors` of a Collector's OTLP receiver"),
        );
    }
    if auth.auth && arguments.stack != Stack::Embedded {
        return Err(Failure::new("`--auth` belongs to the embedded stack")
            .hint("where another asks its clients for a token, set MILVUS_TOKEN"));
    }
    match arguments.stack {
        Stack::Embedded => Ok(StackChoice::Embedded(arguments.backend.into())),
        Stack::Compose => Ok(StackChoice::Compose),
        Stack::External => external(arguments).map(StackChoice::External),
    }
}

impl From<Backend> for harness::Backend {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Capture => Self::Capture,
            Backend::Jaeger => Self::Jaeger,
        }
    }
}

/// Fails where something is said that the stack has no use for.
fn refuse_strays(arguments: &StackArguments) -> Result<()> {
    let (name, its_backend) = match arguments.stack {
        Stack::Embedded => ("embedded", ""),
        Stack::Compose => ("compose", "the compose stack has a Jaeger of its own"),
        Stack::External => (
            "external",
            "an external stack has a backend of its own: `--traces-from` names it",
        ),
    };
    if arguments.stack != Stack::Embedded && arguments.backend == Backend::Jaeger {
        return Err(
            Failure::new("`--backend jaeger` belongs to the embedded stack").hint(its_backend),
        );
    }
    let places = [
        ("--milvus-uri", arguments.milvus_uri.is_some()),
        ("--otlp-endpoint", arguments.otlp_endpoint.is_some()),
        ("--traces-from", arguments.traces_from.is_some()),
        ("--header", !arguments.headers.is_empty()),
        ("--ca-file", arguments.ca_file.is_some()),
        ("--config", arguments.config.is_some()),
    ];
    match places.iter().find(|(_, given)| *given) {
        Some((flag, _)) if arguments.stack != Stack::External => Err(Failure::new(format!(
            "`{flag}` can't be used with the {name} stack"
        ))
        .hint("add `--stack external`")),
        _ => Ok(()),
    }
}

fn external(arguments: &StackArguments) -> Result<External> {
    let given = ExternalSettings {
        milvus_uri: arguments.milvus_uri.clone(),
        otlp_endpoint: arguments.otlp_endpoint.clone(),
        traces_from: arguments.traces_from.clone(),
        ca_file: arguments.ca_file.clone(),
        headers: arguments.headers.clone(),
    };
    External::find(given, arguments.config.as_deref(), &workspace()?)
}
