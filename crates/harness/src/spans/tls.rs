//! TLS for HTTP requests, in builds with the feature `tls`. A first run doesn't need it.

/// Whom a server's certificate must come from. A build without the feature has none.
#[derive(Clone, Debug)]
pub struct Tls(
    #[cfg(feature = "tls")] std::sync::Arc<tokio_rustls::rustls::ClientConfig>,
    #[cfg(not(feature = "tls"))] std::convert::Infallible,
);

#[cfg(feature = "tls")]
mod with {
    use std::path::Path;
    use std::sync::Arc;

    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use supervise::{Failure, Result, chain};

    use crate::spans::tls::Tls;

    impl Tls {
        /// The authorities in `ca_file`, or the system's.
        pub fn new(ca_file: Option<&Path>) -> Result<Self> {
            let mut roots = RootCertStore::empty();
            match ca_file {
                Some(file) => {
                    for certificate in certificates(file)? {
                        roots
                            .add(certificate)
                            .map_err(|error| unfit(file, &error))?;
                    }
                }
                None => {
                    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                }
            }
            if roots.is_empty() {
                return Err(
                    Failure::new("no certificate authority is known on this system").hint(
                        "install the system's `ca-certificates`, or give one: `--ca-file FILE`",
                    ),
                );
            }
            let config = ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok(Self(Arc::new(config)))
        }

        pub async fn connect(
            &self,
            host: &str,
            stream: TcpStream,
        ) -> Result<TlsStream<TcpStream>, String> {
            let host = host.trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(host).map_err(|error| chain(&error))?;
            let connector = TlsConnector::from(Arc::clone(&self.0));
            let connected = connector.connect(name, stream).await;
            connected.map_err(|error| format!("TLS: {}", chain(&error)))
        }
    }

    fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
        let found: Vec<_> = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| unfit(file, &error))?;
        if found.is_empty() {
            return Err(unfit(file, &"it holds no certificate"));
        }
        Ok(found)
    }

    fn unfit(file: &Path, why: &dyn std::fmt::Display) -> Failure {
        let file = file.display();
        Failure::new(format!(
            "can't read certificate authorities from `{file}`: {why}"
        ))
        .hint("it must be in PEM format, with `-----BEGIN CERTIFICATE-----`")
    }
}

#[cfg(not(feature = "tls"))]
mod without {
    use std::path::Path;

    use tokio::net::TcpStream;

    use supervise::{Failure, Result};

    use crate::spans::tls::Tls;

    impl Tls {
        pub fn new(_: Option<&Path>) -> Result<Self> {
            Err(Failure::new("this build can't use `https`")
                .hint("a build with the cargo feature `tls` does: the wheel, or `cargo xtask-tls` in place of `cargo xtask`"))
        }

        #[expect(clippy::unused_async, reason = "as in the build that has it")]
        pub async fn connect(&self, _: &str, _: TcpStream) -> Result<TcpStream, String> {
            match self.0 {}
        }
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::Tls;
    use crate::spans::http::{Client, Url};

    /// A server that knows one answer, and its certificate as PEM.
    async fn server() -> (Url, String) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that doesn't trust it goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        let url = Url::parse(&format!("https://localhost:{port}/api/services")).unwrap();
        (url, own.cert.pem())
    }

    #[tokio::test]
    async fn a_server_is_trusted_by_its_authority_alone() {
        let (url, pem) = server().await;
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own.pem");
        std::fs::write(&own, pem).unwrap();
        let ask = async |ca_file: Option<&Path>| {
            let client = Client {
                headers: Vec::new(),
                tls: Some(Tls::new(ca_file).map_err(|failure| failure.message)?),
            };
            client.get(&url).await.map(|answer| answer.status)
        };
        assert_eq!(ask(Some(&own)).await, Ok(200));
        let (_, another) = server().await;
        std::fs::write(&own, another).unwrap();
        let refused = ask(Some(&own)).await.unwrap_err();
        assert!(
            refused.starts_with("TLS: invalid peer certificate"),
            "{refused}"
        );
        std::fs::write(&own, "no certificate").unwrap();
        let unfit = ask(Some(&own)).await.unwrap_err();
        assert!(unfit.ends_with("it holds no certificate"), "{unfit}");
    }
}
