//! A stack that somebody else runs.

use crate::failure::{Failure, Result};
use crate::http::Url;

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// As clients take it, such as `http://milvus.example:19530`.
    pub milvus_uri: String,
    /// Where programs send spans, OTLP over gRPC.
    pub otlp_endpoint: String,
    /// Jaeger's query API, where the spans are read back.
    pub traces_from: String,
    /// `name: value`, sent with each query.
    pub headers: Vec<String>,
}

impl External {
    pub(crate) fn api(&self) -> Result<Url> {
        Url::parse(&self.traces_from).map_err(|what| {
            Failure::new(format!("`{}` is no address to read traces from: {what}", self.traces_from))
                .hint("such as `http://localhost:16686`, Jaeger's query API; a proxy can stand before one that needs TLS")
        })
    }

    pub(crate) fn headers(&self) -> Result<Vec<(String, String)>> {
        let parsed = |header: &String| {
            let (name, value) = header.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        self.headers
            .iter()
            .map(|header| {
                parsed(header).ok_or_else(|| {
                    Failure::new("a header has no `:`")
                        .hint("such as `--header 'authorization: Bearer TOKEN'`")
                })
            })
            .collect()
    }
}
