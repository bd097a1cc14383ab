//! Which stack the command line and the environment name.

use harness::{External, Failure, Result};

use crate::cli::{Backend, Stack, StackArguments};

/// The stack that somebody else runs, where one is asked for. A flag goes before its variable.
pub(crate) fn external(arguments: &StackArguments) -> Result<Option<External>> {
    if arguments.stack != Stack::External {
        let stray = [
            ("--milvus-uri", arguments.milvus_uri.is_some()),
            ("--otlp-endpoint", arguments.otlp_endpoint.is_some()),
            ("--traces-from", arguments.traces_from.is_some()),
            ("--header", !arguments.headers.is_empty()),
        ];
        return match stray.iter().find(|(_, given)| *given) {
            None => Ok(None),
            Some((flag, _)) => Err(Failure::new(format!(
                "`{flag}` says nothing to the embedded stack"
            ))
            .hint("add `--stack external`")),
        };
    }
    if arguments.backend == Backend::Jaeger {
        return Err(
            Failure::new("`--backend jaeger` belongs to the embedded stack")
                .hint("an external stack has a backend of its own: `--traces-from` names it"),
        );
    }
    let headers = match std::env::var("MILVUS_OTEL_HEADER") {
        Ok(header) if arguments.headers.is_empty() => vec![header],
        _ => arguments.headers.clone(),
    };
    Ok(Some(External {
        milvus_uri: setting(
            &arguments.milvus_uri,
            "--milvus-uri",
            "MILVUS_OTEL_MILVUS_URI",
        )?,
        otlp_endpoint: setting(
            &arguments.otlp_endpoint,
            "--otlp-endpoint",
            "MILVUS_OTEL_OTLP_ENDPOINT",
        )?,
        traces_from: setting(
            &arguments.traces_from,
            "--traces-from",
            "MILVUS_OTEL_TRACES_FROM",
        )?,
        headers,
    }))
}

pub(crate) fn backend(arguments: &StackArguments) -> harness::Backend {
    match arguments.backend {
        Backend::Capture => harness::Backend::Capture,
        Backend::Jaeger => harness::Backend::Jaeger,
    }
}

fn setting(given: &Option<String>, flag: &str, variable: &str) -> Result<String> {
    let set = || {
        std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
    };
    given.clone().or_else(set).ok_or_else(|| {
        Failure::new(format!("an external stack needs `{flag}`")).hint(format!(
            "give it, or set `{variable}`; for example: cargo xtask run-all --stack external --milvus-uri \
             http://milvus:19530 --otlp-endpoint http://collector:4317 --traces-from http://jaeger:16686"
        ))
    })
}
