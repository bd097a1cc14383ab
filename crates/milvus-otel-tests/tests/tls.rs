//! The client trusts only the given authority, and presents a certificate if the server requests one.

use milvus_otel::client::{ErrorKind, Retry, Tls};
use milvus_otel::layer::Code;
use milvus_otel::{MilvusClient, Result};
use milvus_otel_tests::fake::{FakeMilvus, Reply};
use milvus_otel_tests::spans::{Recorder, text};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// An authority and its certificates, as files.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for `name`, in two files of that name.
    fn certify(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()])
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        (certificate, key)
    }

    /// A server with the name `milvus.example`, which can require a certificate of this authority from its clients.
    fn server(&self, asks_clients: bool) -> Arc<ServerConfig> {
        let (certificate, key) = self.certify("milvus.example");
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks_clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

async fn ask(fake: &FakeMilvus, tls: Option<Tls>, recorder: &Recorder) -> Result<()> {
    let builder = MilvusClient::builder(format!("https://localhost:{}", fake.port()));
    let mut builder = builder.layer(recorder.layer()).retry(Retry::attempts(1));
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    builder
        .connect()
        .await?
        .has_collection("rows")
        .await
        .map(drop)
}

#[tokio::test]
async fn only_a_server_with_the_right_authority_and_name_is_trusted() {
    let authority = Authority::new();
    let fake =
        FakeMilvus::start_tls(authority.server(false), |_, _| Reply::Message(Vec::new())).await;
    let recorder = Recorder::default();
    let trusting = || Tls::new().ca_file(authority.file("ca.pem"));
    ask(
        &fake,
        Some(trusting().server_name("milvus.example")),
        &recorder,
    )
    .await
    .unwrap();
    assert_eq!(
        text(&recorder.take()[0], "server.address").as_deref(),
        Some("localhost")
    );

    let stranger = Authority::new();
    let refused = [
        ("the system's roots", None),
        (
            "another authority",
            Some(
                Tls::new()
                    .ca_file(stranger.file("ca.pem"))
                    .server_name("milvus.example"),
            ),
        ),
        ("another name", Some(trusting())),
    ];
    for (what, tls) in refused {
        let error = ask(&fake, tls, &recorder).await.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Rpc {
                    code: Code::Unavailable,
                    ..
                }
            ),
            "{what}: {error}"
        );
        assert!(error.to_string().contains("certificate"), "{what}: {error}");
        assert_eq!(
            text(&recorder.take_one(), "error.type").as_deref(),
            Some("UNAVAILABLE"),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_client_presents_its_certificate() {
    let authority = Authority::new();
    let fake =
        FakeMilvus::start_tls(authority.server(true), |_, _| Reply::Message(Vec::new())).await;
    authority.certify("reader");
    let tls = || {
        Tls::new()
            .ca_file(authority.file("ca.pem"))
            .server_name("milvus.example")
    };
    let shown =
        tls().client_certificate(authority.file("reader.pem"), authority.file("reader.key"));
    ask(&fake, Some(shown), &Recorder::default()).await.unwrap();
    ask(&fake, Some(tls()), &Recorder::default())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let missing = Tls::new().ca_file("/nowhere/ca.pem");
    let error = MilvusClient::builder("https://localhost:1")
        .tls(missing)
        .connect()
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`connect`: cannot read `/nowhere/ca.pem`: "),
        "{error}"
    );
}
