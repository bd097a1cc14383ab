//! An OTLP receiver that counts.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The headers and messages of all requests.
type Requests = Arc<Mutex<Vec<(HeaderMap, Export)>>>;

/// A request of one signal.
#[derive(Clone, Debug)]
enum Export {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// What becomes of a request.
#[derive(Clone)]
enum Manner {
    Keep(Requests),
    Forget,
    /// It is accepted but for so many of its spans.
    Reject(i64),
    /// It is never answered.
    Hang,
}

/// A receiver on loopback, on a runtime of its own.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    requests: Requests,
    _runtime: Runtime,
}

impl Receiver {
    /// Starts a receiver.
    pub fn start() -> Self {
        let requests = Requests::default();
        Self::listening(Manner::Keep(Arc::clone(&requests)), requests)
    }

    /// Starts a receiver that accepts everything and keeps none of it.
    pub fn sink() -> Self {
        Self::listening(Manner::Forget, Requests::default())
    }

    /// Starts a receiver that accepts all spans of a request but so many.
    pub fn rejecting(spans: i64) -> Self {
        Self::listening(Manner::Reject(spans), Requests::default())
    }

    /// Starts a receiver that takes requests and never answers.
    pub fn hanging() -> Self {
        Self::listening(Manner::Hang, Requests::default())
    }

    fn listening(manner: Manner, requests: Requests) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("there are threads");
        let address = std::thread::scope(|scope| {
            // A test may be in a runtime itself, in which another can't be waited for.
            let bind = || runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
            let listener = scope
                .spawn(bind)
                .join()
                .expect("no panic")
                .expect("loopback is there");
            let address = listener.local_addr().expect("it is bound");
            runtime.spawn(listen(listener, manner));
            address
        });
        Self {
            address,
            requests,
            _runtime: runtime,
        }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is for it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests of spans up to now.
    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.of(|request| match request {
            Export::Traces(request) => Some(request.clone()),
            _ => None,
        })
    }

    /// All requests of metrics up to now.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.of(|request| match request {
            Export::Metrics(request) => Some(request.clone()),
            _ => None,
        })
    }

    /// All requests of log records up to now.
    pub fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        self.of(|request| match request {
            Export::Logs(request) => Some(request.clone()),
            _ => None,
        })
    }

    fn of<T>(&self, signal: impl Fn(&Export) -> Option<T>) -> Vec<T> {
        let requests = self.requests.lock().expect("no test panicked here");
        requests
            .iter()
            .filter_map(|(_, request)| signal(request))
            .collect()
    }

    /// The headers of all requests up to now.
    pub fn headers(&self) -> Vec<HeaderMap> {
        let requests = self.requests.lock().expect("no test panicked here");
        requests
            .iter()
            .map(|(headers, _)| headers.clone())
            .collect()
    }

    /// All spans up to now.
    pub fn spans(&self) -> Vec<Span> {
        let resources = self
            .requests()
            .into_iter()
            .flat_map(|request| request.resource_spans);
        resources
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }
}

async fn listen(listener: TcpListener, manner: Manner) {
    while let Ok((stream, _)) = listener.accept().await {
        let manner = manner.clone();
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let manner = manner.clone();
                tokio::spawn(async move {
                    let _ = receive(request, respond, &manner).await;
                });
            }
        });
    }
}

async fn receive(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    manner: &Manner,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    let mut answer = ExportTraceServiceResponse::default();
    match manner {
        Manner::Keep(requests) => {
            let request = decode(parts.uri.path(), &message);
            let mut requests = requests.lock().expect("no test panicked here");
            requests.push((parts.headers, request));
        }
        Manner::Forget => {}
        Manner::Reject(spans) => {
            answer.partial_success = Some(ExportTracePartialSuccess {
                rejected_spans: *spans,
                ..Default::default()
            });
        }
        Manner::Hang => return std::future::pending().await,
    }
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .body(());
    let mut stream = respond.send_response(response.expect("it is a response"), false)?;
    let answer = answer.encode_to_vec();
    let mut framed = vec![0];
    framed.extend((answer.len() as u32).to_be_bytes());
    framed.extend(answer);
    stream.send_data(framed.into(), false)?;
    stream.send_trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        0.into(),
    )]))
}

/// The message of a gRPC request, which has a flag and its length before it.
fn decode(path: &str, framed: &[u8]) -> Export {
    let (frame, message) = framed.split_at(5);
    let plain = if frame[0] == 1 {
        let mut plain = Vec::new();
        let read = flate2::read::GzDecoder::new(message).read_to_end(&mut plain);
        read.expect("it is gzip");
        plain
    } else {
        message.to_vec()
    };
    let service = path.trim_start_matches("/opentelemetry.proto.collector.");
    let decoded = match service {
        "metrics.v1.MetricsService/Export" => {
            ExportMetricsServiceRequest::decode(&*plain).map(Export::Metrics)
        }
        "logs.v1.LogsService/Export" => ExportLogsServiceRequest::decode(&*plain).map(Export::Logs),
        _ => ExportTraceServiceRequest::decode(&*plain).map(Export::Traces),
    };
    decoded.expect("it is OTLP")
}
