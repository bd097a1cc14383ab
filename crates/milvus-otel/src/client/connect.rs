//! The builder of a client: its options, and connecting.

use super::connection::{Connection, RequestId, Retry};
use super::error::{Error, ErrorKind, Result};
use super::operation::Operations;
use super::schema::ConsistencyLevel;
use super::unary::Unary;
use super::version::Version;
use super::{MilvusClient, Shared};
use crate::layer::{Code, GrpcTraceLayer, Server, server_of};
use crate::proto::common::ClientInfo;
use crate::proto::milvus as m;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Endpoint;
use tower_layer::Layer;

/// How to connect to a server; made by [`MilvusClient::builder`].
///
/// ```no_run
/// # async fn example() -> milvus_otel::Result<()> {
/// use milvus_otel::MilvusClient;
/// use milvus_otel::client::{ConsistencyLevel, Retry};
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let client = MilvusClient::builder("http://milvus.example:19530")
///     .user("reader", "secret") // or `.token("…")`
///     .database("films")
///     .connect_timeout(seconds(5))
///     .timeout(seconds(10))
///     .max_request_bytes(256 << 20)
///     .consistency_level(ConsistencyLevel::Session)
///     .keep_alive(Some((seconds(30), seconds(10))))
///     .retry(Retry::attempts(3))
///     .operation_spans(true)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing happens until `connect` is called"]
pub struct MilvusClientBuilder {
    uri: String,
    token: Option<String>,
    user: String,
    database: String,
    connect_timeout: Duration,
    timeout: Option<Duration>,
    max_request_bytes: usize,
    consistency_level: Option<ConsistencyLevel>,
    keep_alive: Option<(Duration, Duration)>,
    retry: Retry,
    operation_spans: bool,
    layer: GrpcTraceLayer,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl MilvusClient {
    /// Connects to the server at `uri`, such as `http://localhost:19530`, without a password, to its default database.
    ///
    /// Connecting may take 10 seconds, and each call 60; [`builder`](Self::builder) has these and all other options.
    ///
    /// Milvus 2.0 and later; tried on 2.3.5.
    ///
    /// # Errors
    /// The URI is invalid, or there is no Milvus at it.
    pub async fn connect(uri: impl AsRef<str>) -> Result<Self> {
        Self::builder(uri).connect().await
    }

    /// A connection to the server at `uri`, to be given its options.
    pub fn builder(uri: impl AsRef<str>) -> MilvusClientBuilder {
        MilvusClientBuilder::new(uri.as_ref())
    }
}

impl MilvusClientBuilder {
    pub(super) fn new(uri: &str) -> Self {
        Self {
            uri: uri.to_owned(),
            token: None,
            user: String::new(),
            database: String::new(),
            connect_timeout: Duration::from_secs(10),
            timeout: Some(Duration::from_secs(60)),
            max_request_bytes: 64 << 20,
            consistency_level: None,
            keep_alive: Some((Duration::from_secs(55), Duration::from_secs(20))),
            retry: Retry::default(),
            operation_spans: false,
            layer: GrpcTraceLayer::new().with_level_1_flags(true),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Authorizes by a token, or by `user:password`.
    ///
    /// ```
    /// let builder = milvus_otel::MilvusClient::builder("localhost:19530").token("an-api-key");
    /// ```
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Authorizes by a user's name and password.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        name.clone_into(&mut self.user);
        self.token(format!("{name}:{password}"))
    }

    /// Works in this database instead of the default one.
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.database = name.into();
        self
    }

    /// The time limit of connecting; 10 seconds by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The deadline of each call, including its retries; 60 seconds by default. `None` removes it.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How fresh the data must be that searches and queries see where they don't say; as each collection says unless it
    /// is set.
    pub fn consistency_level(mut self, level: ConsistencyLevel) -> Self {
        self.consistency_level = Some(level);
        self
    }

    /// The largest request that the server takes (`proxy.grpc.serverMaxRecvSize`); 64 MiB unless it is set.
    ///
    /// gRPC refuses a larger one before Milvus sees it, so that the server has neither a span of it nor a line in its
    /// log. The client refuses it before it is sent.
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request_bytes = bytes;
        self
    }

    /// Asks after the server when nothing was heard for `interval`, and gives it up when it doesn't answer within
    /// `timeout`; 55 and 20 seconds unless they are set, never with `None`.
    pub fn keep_alive(mut self, interval_and_timeout: Option<(Duration, Duration)>) -> Self {
        self.keep_alive = interval_and_timeout;
        self
    }

    /// The retries of a failed call; see [`Retry`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Uses TLS with these settings. A URI that begins with `https` uses TLS in any case, by default with the system's roots.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Adds a span per operation, the parent of its RPCs' spans, by the conventions for databases.
    pub fn operation_spans(mut self, on: bool) -> Self {
        self.operation_spans = on;
        self
    }

    /// Traces by `layer`, which has the tracer, the propagator and the conventions.
    ///
    /// The client adds the server's address to it, and sends W3C Level 1 flags, as Milvus needs.
    ///
    /// ```
    /// use milvus_otel::{GrpcTraceLayer, MilvusClient};
    ///
    /// let quiet = GrpcTraceLayer::new().with_filter(|method| method.method() != "GetLoadState");
    /// let builder = MilvusClient::builder("localhost:19530").layer(quiet);
    /// ```
    pub fn layer(mut self, layer: GrpcTraceLayer) -> Self {
        self.layer = layer.with_level_1_flags(true);
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// An option is invalid, there is no Milvus at the URI, or it refuses the credentials.
    pub async fn connect(self) -> Result<MilvusClient> {
        let work = self.make();
        work.await
            .map_err(|error| error.in_operation("connect", ""))
    }

    async fn make(self) -> Result<MilvusClient> {
        let (uri, (address, port)) = self.parse_uri()?;
        let layer = self.layer.clone().with_server(&*address, port);
        let operations = Operations::new(layer.clone(), &self.database, &address, port);
        // The connection is made by the first call, so that a server out of reach shows on that call's span.
        let channel = self.endpoint(uri)?.connect_lazy();
        let mut connection = Connection {
            service: layer.layer(Unary(RequestId(channel))),
            metadata: self.metadata()?,
            timeout: self.timeout,
            retry: self.retry,
            max_request_bytes: self.max_request_bytes,
        };
        let connect = m::ConnectRequest {
            client_info: Some(client_info(self.user.clone())),
        };
        let server = match connection.call(&connect).await {
            Ok(answer) => {
                let identifier = answer.identifier.into();
                connection.metadata.insert("identifier", identifier);
                let info = answer.server_info;
                info.and_then(|info| Version::read(&info.build_tags))
            }
            // Servers before 2.2.9 have no such call, and can do without.
            Err(error) if is_unknown_method(&error) => None,
            Err(error) => return Err(error),
        };
        let shared = Shared {
            connection,
            database: self.database,
            consistency_level: self.consistency_level,
            operations: self.operation_spans.then_some(operations),
            server,
            known: Arc::default(),
        };
        Ok(MilvusClient {
            shared: Arc::new(shared),
        })
    }

    fn parse_uri(&self) -> Result<(Uri, Server)> {
        let text = &self.uri;
        let with_scheme = if text.contains("://") {
            text.clone()
        } else {
            format!("http://{text}")
        };
        let uri: Uri = with_scheme
            .parse()
            .map_err(|error| Error::invalid(format!("`{text}` isn't a valid URI: {error}")))?;
        match (uri.scheme_str(), server_of(&uri)) {
            (Some("http" | "https"), Some(server)) if !server.0.is_empty() => Ok((uri, server)),
            _ => Err(Error::invalid(format!(
                "`{text}` isn't the address of a server, such as `http://localhost:19530`"
            ))),
        }
    }

    fn metadata(&self) -> Result<MetadataMap> {
        let mut metadata = MetadataMap::new();
        if let Some(token) = &self.token {
            let mut value = MetadataValue::try_from(BASE64_STANDARD.encode(token))
                .map_err(|error| Error::invalid(error.to_string()))?;
            value.set_sensitive(true);
            metadata.insert("authorization", value);
        }
        if !self.database.is_empty() {
            let name = MetadataValue::try_from(&self.database);
            let unfit = |_| {
                Error::invalid(format!(
                    "`{}` can't be the name of a database",
                    self.database
                ))
            };
            metadata.insert("dbname", name.map_err(unfit)?);
        }
        Ok(metadata)
    }

    fn endpoint(&self, uri: Uri) -> Result<Endpoint> {
        let mut endpoint = Endpoint::from(uri.clone())
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_adaptive_window(true);
        if let Some((interval, timeout)) = self.keep_alive {
            endpoint = endpoint
                .http2_keep_alive_interval(interval)
                .keep_alive_timeout(timeout)
                .keep_alive_while_idle(true);
        }
        self.secure(endpoint, &uri)
    }

    #[cfg(feature = "tls")]
    fn secure(&self, endpoint: Endpoint, uri: &Uri) -> Result<Endpoint> {
        match &self.tls {
            Some(tls) => tls.apply(endpoint),
            None if uri.scheme_str() == Some("https") => Tls::new().apply(endpoint),
            None => Ok(endpoint),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, endpoint: Endpoint, uri: &Uri) -> Result<Endpoint> {
        if uri.scheme_str() == Some("https") {
            return Err(Error::invalid(format!(
                "`{}` needs the feature `tls` of the crate `milvus-otel`",
                self.uri
            )));
        }
        Ok(endpoint)
    }
}

impl fmt::Debug for MilvusClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is a secret.
        f.debug_struct("MilvusClientBuilder")
            .field("uri", &self.uri)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// How to speak TLS with a server.
///
/// ```
/// use milvus_otel::MilvusClient;
/// use milvus_otel::client::Tls;
///
/// let tls = Tls::new()
///     .ca_file("ca.pem")
///     .client_certificate("client.pem", "client.key")
///     .server_name("milvus.example");
/// let builder = MilvusClient::builder("https://10.0.0.7:19530").tls(tls);
/// ```
#[cfg(feature = "tls")]
#[derive(Clone, Debug, Default)]
pub struct Tls {
    ca_file: Option<std::path::PathBuf>,
    client_files: Option<(std::path::PathBuf, std::path::PathBuf)>,
    server_name: Option<String>,
}

#[cfg(feature = "tls")]
impl Tls {
    /// TLS with the system's roots.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in this PEM file instead of the system's.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Shows the server the certificate in one PEM file, whose key is in the other.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate: impl Into<std::path::PathBuf>,
        key: impl Into<std::path::PathBuf>,
    ) -> Self {
        self.client_files = Some((certificate.into(), key.into()));
        self
    }

    /// Expects the server to be called `name`, where its address is another.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    fn apply(&self, endpoint: Endpoint) -> Result<Endpoint> {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};

        let read = |path: &std::path::PathBuf| {
            std::fs::read(path).map_err(|error| {
                Error::invalid(format!("cannot read `{}`: {error}", path.display()))
            })
        };
        let mut config = ClientTlsConfig::new();
        config = match &self.ca_file {
            Some(path) => config.ca_certificate(Certificate::from_pem(read(path)?)),
            None => config.with_native_roots(),
        };
        if let Some((certificate, key)) = &self.client_files {
            config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        endpoint.tls_config(config).map_err(|error| {
            Error::invalid(format!(
                "cannot speak TLS: {}",
                crate::layer::causes(&error)
            ))
        })
    }
}

fn client_info(user: String) -> ClientInfo {
    ClientInfo {
        sdk_type: "Rust".to_owned(),
        sdk_version: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
        user,
        ..ClientInfo::default()
    }
}

/// Whether a Milvus server answered that it doesn't have this one method. A server of another kind doesn't have the service.
fn is_unknown_method(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Rpc {
            code: Code::Unimplemented,
            message,
        } => message.contains("unknown method"),
        _ => false,
    }
}
