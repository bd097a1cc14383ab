//! An external stack.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use supervise::{Failure, IoContext, Result};

use crate::spans::http::{Client, Url};
use crate::spans::tls::Tls;
use crate::workspace::Workspace;

/// The default file, in the checkout.
const FILE: &str = "milvus-otel.toml";

/// The standard variables that secure the connections of examples.
const CONNECTION: [&str; 10] = [
    "MILVUS_TOKEN",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
];

/// Where it is.
#[derive(Clone, PartialEq, Eq)]
pub struct External {
    /// As clients take it, such as `http://milvus.example:19530`.
    pub milvus_uri: String,
    /// Where programs send spans, OTLP over gRPC.
    pub otlp_endpoint: String,
    /// Jaeger's query API, where the spans are read back.
    pub traces_from: String,
    /// Who vouches for the query API, instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// `name: value`, sent with each query. May hold a secret.
    pub headers: Vec<String>,
}

/// The settings from one source: flags, the environment or a file.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExternalSettings {
    pub milvus_uri: Option<String>,
    pub otlp_endpoint: Option<String>,
    pub traces_from: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub headers: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ExternalFile {
    external: ExternalSettings,
}

impl External {
    /// From the flags that were `given`, else the environment, else the file.
    pub fn find(
        given: ExternalSettings,
        file: Option<&Path>,
        workspace: &Workspace,
    ) -> Result<Self> {
        let settings = given
            .or(ExternalSettings::of_environment())
            .or(ExternalSettings::of_file(file, workspace)?);
        let needed = |value: Option<String>, flag: &str, variable: &str| {
            let value = value.ok_or_else(|| missing(flag, variable))?;
            match holds_credentials(&value) {
                false => Ok(value),
                true => Err(Failure::new(format!("`{flag}` contains a user name or a password"))
                    .hint("an address is written into reports: MILVUS_TOKEN, OTEL_EXPORTER_OTLP_HEADERS and `--header` are not")),
            }
        };
        let external = Self {
            milvus_uri: needed(
                settings.milvus_uri,
                "--milvus-uri",
                "MILVUS_OTEL_MILVUS_URI",
            )?,
            otlp_endpoint: needed(
                settings.otlp_endpoint,
                "--otlp-endpoint",
                "MILVUS_OTEL_OTLP_ENDPOINT",
            )?,
            traces_from: needed(
                settings.traces_from,
                "--traces-from",
                "MILVUS_OTEL_TRACES_FROM",
            )?,
            ca_file: settings.ca_file,
            headers: settings.headers,
        };
        external.check_secured()?;
        Ok(external)
    }

    /// Fails if a setting that should secure a query has no effect.
    fn check_secured(&self) -> Result<()> {
        if self.ca_file.is_none() || self.api()?.secure {
            return Ok(());
        }
        Err(Failure::new(format!(
            "`--ca-file` has no effect: `{}` isn't read over `https`",
            self.traces_from
        ))
        .hint("name it with `https://`, or leave the file out (`--ca-file`, `MILVUS_OTEL_CA_FILE` or `ca_file`)"))
    }

    /// Said where a header, which may hold a secret, goes over the network for everybody to read.
    pub fn note(&self) -> Option<String> {
        let api = self.api().ok()?;
        let is_open = !api.secure && !is_loopback(&api.authority) && !self.headers.is_empty();
        is_open.then(|| {
            format!(
                "headers are sent to `{}` unencrypted: whoever is on the way can read them",
                self.traces_from
            )
        })
    }

    pub fn api(&self) -> Result<Url> {
        Url::parse(&self.traces_from).map_err(|what| {
            Failure::new(format!(
                "`{}` isn't an address to read traces from: {what}",
                self.traces_from
            ))
            .hint("such as `http://localhost:16686`, Jaeger's query API")
        })
    }

    /// The access to the query API.
    pub fn client(&self) -> Result<Client> {
        let tls = match self.api()?.secure {
            true => Some(Tls::new(self.ca_file.as_deref())?),
            false => None,
        };
        let headers = self.headers()?;
        Ok(Client { headers, tls })
    }

    fn headers(&self) -> Result<Vec<(String, String)>> {
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

    /// The variables that the examples' own connections need, from the runner's environment.
    pub fn connection() -> BTreeMap<String, String> {
        CONNECTION
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), set(name)?)))
            .collect()
    }
}

impl std::fmt::Debug for External {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("External")
            .field("milvus_uri", &self.milvus_uri)
            .field("otlp_endpoint", &self.otlp_endpoint)
            .field("traces_from", &self.traces_from)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl ExternalSettings {
    fn of_environment() -> Self {
        Self {
            milvus_uri: set("MILVUS_OTEL_MILVUS_URI"),
            otlp_endpoint: set("MILVUS_OTEL_OTLP_ENDPOINT"),
            traces_from: set("MILVUS_OTEL_TRACES_FROM"),
            ca_file: set("MILVUS_OTEL_CA_FILE").map(PathBuf::from),
            headers: set("MILVUS_OTEL_HEADER").into_iter().collect(),
        }
    }

    fn of_file(named: Option<&Path>, workspace: &Workspace) -> Result<Self> {
        let usual = workspace.root().join(FILE);
        let path = match named {
            Some(path) => path,
            None if usual.is_file() => &usual,
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path).at("read", path)?;
        let settings: ExternalFile = toml::from_str(&text).map_err(|error| {
            // The error's own text quotes the line, which may hold a secret.
            let before = error.span().map_or("", |span| &text[..span.start]);
            let line = before.matches('\n').count() + 1;
            let (path, what) = (path.display(), error.message());
            Failure::new(format!("can't take `{path}`, line {line}: {what}"))
                .hint("it must contain one table, `[external]`, with milvus_uri, otlp_endpoint, traces_from, ca_file and headers")
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let settings = settings.external;
        Ok(Self {
            ca_file: settings.ca_file.map(|file| folder.join(file)),
            ..settings
        })
    }

    fn or(self, other: Self) -> Self {
        Self {
            milvus_uri: self.milvus_uri.or(other.milvus_uri),
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            traces_from: self.traces_from.or(other.traces_from),
            ca_file: self.ca_file.or(other.ca_file),
            headers: match self.headers.is_empty() {
                true => other.headers,
                false => self.headers,
            },
        }
    }
}

impl std::fmt::Debug for ExternalSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExternalSettings")
    }
}

fn missing(flag: &str, variable: &str) -> Failure {
    Failure::new(format!("an external stack needs `{flag}`")).hint(format!(
        "give it, set `{variable}`, or write it into `{FILE}`; for example: --stack external \
         --milvus-uri http://milvus:19530 --otlp-endpoint http://collector:4317 --traces-from http://jaeger:16686"
    ))
}

fn holds_credentials(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| authority.contains('@'))
}

/// Whether an authority, such as `localhost:16686`, is this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn set(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_nearer_goes_first() {
        let of = |milvus: Option<&str>, header: Option<&str>| ExternalSettings {
            milvus_uri: milvus.map(str::to_owned),
            headers: header.map(str::to_owned).into_iter().collect(),
            ..ExternalSettings::default()
        };
        let check = |near: ExternalSettings, far, milvus: Option<&str>, headers: &[&str]| {
            let both = near.or(far);
            assert_eq!(both.milvus_uri.as_deref(), milvus);
            assert_eq!(both.headers, headers);
        };
        check(
            of(Some("a"), None),
            of(Some("b"), Some("x: 1")),
            Some("a"),
            &["x: 1"],
        );
        check(
            of(None, Some("y: 2")),
            of(Some("b"), Some("x: 1")),
            Some("b"),
            &["y: 2"],
        );
        check(of(None, None), of(None, None), None, &[]);
    }

    #[test]
    fn credentials_in_an_address_are_seen() {
        let check =
            |address: &str, expected| assert_eq!(holds_credentials(address), expected, "{address}");
        check("http://root:secret@milvus:19530", true);
        check("root@milvus", true);
        check("http://milvus:19530/@", false);
        check("milvus:19530", false);
    }

    #[test]
    fn what_would_secure_nothing_is_refused_and_what_all_can_read_is_told() {
        let check = |traces_from: &str, header: bool, ca_file: bool, is_taken, is_told| {
            let external = External {
                milvus_uri: "http://m:1".to_owned(),
                otlp_endpoint: "http://o:1".to_owned(),
                traces_from: traces_from.to_owned(),
                ca_file: ca_file.then(|| PathBuf::from("ca.pem")),
                headers: header.then(|| "x: 1".to_owned()).into_iter().collect(),
            };
            assert_eq!(external.check_secured().is_ok(), is_taken, "{traces_from}");
            assert_eq!(external.note().is_some(), is_told, "{traces_from}");
        };
        check("http://j:1", false, false, true, false);
        check("http://j:1", true, false, true, true);
        check("http://j:1", false, true, false, false);
        check("https://j:1", true, true, true, false);
        for here in ["localhost:1", "127.0.0.1:1", "127.9.9.9", "[::1]:1"] {
            check(&format!("http://{here}"), true, false, true, false);
        }
        check("http://localhost.example:1", true, false, true, true);
    }

    #[test]
    fn a_secret_is_in_nothing_that_is_printed() {
        let headers = vec!["authorization: Bearer hush".to_owned()];
        let external = External {
            milvus_uri: "http://m:1".to_owned(),
            otlp_endpoint: "http://o:1".to_owned(),
            traces_from: "http://j:1".to_owned(),
            ca_file: None,
            headers: headers.clone(),
        };
        let client = external.client().unwrap();
        let settings = ExternalSettings {
            headers,
            ..ExternalSettings::default()
        };
        for printed in [
            format!("{external:?}"),
            format!("{client:?}"),
            format!("{settings:?}"),
        ] {
            assert!(!printed.contains("hush"), "{printed}");
        }
    }
}
