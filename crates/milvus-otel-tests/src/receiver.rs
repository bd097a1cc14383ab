//! An OTLP receiver that counts.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A receiver on loopback, on a runtime of its own.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    _runtime: Runtime,
}

impl Receiver {
    /// Starts a receiver.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("there are threads");
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&requests);
        let address = std::thread::scope(|scope| {
            // A test may be in a runtime itself, in which another can't be waited for.
            let bind = || runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
            let listener = scope
                .spawn(bind)
                .join()
                .expect("no panic")
                .expect("loopback is there");
            let address = listener.local_addr().expect("it is bound");
            runtime.spawn(listen(listener, kept));
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

    /// All requests up to now.
    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.requests.lock().expect("no test panicked here").clone()
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

async fn listen(listener: TcpListener, requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let requests = Arc::clone(&requests);
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let requests = Arc::clone(&requests);
                tokio::spawn(async move {
                    let _ = receive(request, respond, &requests).await;
                });
            }
        });
    }
}

async fn receive(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    requests: &Mutex<Vec<ExportTraceServiceRequest>>,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    let request = ExportTraceServiceRequest::decode(&message[5..]).expect("it is OTLP");
    requests
        .lock()
        .expect("no test panicked here")
        .push(request);
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .body(());
    let mut stream = respond.send_response(response.expect("it is a response"), false)?;
    stream.send_data(Bytes::from_static(&[0; 5]), false)?;
    stream.send_trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        0.into(),
    )]))
}
