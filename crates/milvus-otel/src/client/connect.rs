//! How a client comes to be connected.

use super::connection::{Connection, RequestId, classify};
use super::error::{Error, Result};
use super::{MilvusClient, Shared};
use crate::layer::GrpcTraceLayer;
use crate::proto::common::ClientInfo;
use crate::proto::milvus as m;
use http::Uri;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Endpoint;
use tower_layer::Layer;

/// How to connect to a server; made by [`MilvusClient::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `connect` is called"]
pub struct MilvusClientBuilder {
    uri: String,
    connect_timeout: Duration,
    timeout: Option<Duration>,
    layer: GrpcTraceLayer,
}

impl MilvusClientBuilder {
    pub(super) fn new(uri: &str) -> Self {
        Self {
            uri: uri.to_owned(),
            connect_timeout: Duration::from_secs(10),
            timeout: None,
            layer: GrpcTraceLayer::new().with_level_1_flags(true),
        }
    }

    /// Gives up connecting after `timeout`; 10 seconds unless it is set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Gives up any one RPC after `timeout`; never unless it is set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Traces by `layer`, which has the tracer, the propagator and the conventions.
    ///
    /// The client adds the server's address, and sends W3C Level 1 flags, as Milvus needs.
    pub fn layer(mut self, layer: GrpcTraceLayer) -> Self {
        self.layer = layer.with_level_1_flags(true);
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// The URI isn't one, or nothing at it speaks Milvus.
    pub async fn connect(self) -> Result<MilvusClient> {
        let uri = parse_uri(&self.uri)?;
        // The connection is made by the first call, so that a server out of reach shows on that call's span.
        let channel = Endpoint::from(uri.clone())
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_adaptive_window(true)
            .connect_lazy();
        let layer = self
            .layer
            .with_server(host(&uri), port(&uri))
            .with_error_classifier(classify);
        let mut connection = Connection {
            service: layer.layer(RequestId(channel)),
            metadata: MetadataMap::new(),
            timeout: self.timeout,
        };
        let answer = connection
            .call(&m::ConnectRequest {
                client_info: Some(client_info()),
            })
            .await?;
        if let Ok(identifier) = MetadataValue::try_from(answer.identifier.to_string()) {
            connection.metadata.insert("identifier", identifier);
        }
        let shared = Shared {
            connection,
            database: String::new(),
            schemas: Default::default(),
        };
        Ok(MilvusClient {
            shared: Arc::new(shared),
        })
    }
}

fn parse_uri(text: &str) -> Result<Uri> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let uri: Uri = with_scheme
        .parse()
        .map_err(|error| Error::invalid(format!("`{text}` is no URI: {error}")))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => Ok(uri),
        _ => Err(Error::invalid(format!(
            "`{text}` is no address of a server\n\nhint: such as `http://localhost:19530`"
        ))),
    }
}

fn host(uri: &Uri) -> String {
    uri.host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned()
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16()
        .unwrap_or(if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        })
}

fn client_info() -> ClientInfo {
    ClientInfo {
        sdk_type: "Rust".to_owned(),
        sdk_version: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..ClientInfo::default()
    }
}
