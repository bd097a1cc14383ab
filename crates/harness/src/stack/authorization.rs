//! Authorization of the embedded server: its user `root` gets a password that only this stack has.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use supervise::{Failure, IoContext, Result, chain};
use tokio::net::TcpStream;

/// The variable with a client's token. All our clients read it.
pub const VARIABLE: &str = "MILVUS_TOKEN";

const USER: &str = "root";
/// The initial password of each Milvus.
const FIRST_PASSWORD: &str = "Milvus";
const METHOD: &str = "/milvus.proto.milvus.MilvusService/UpdateCredential";
const RANDOM: &str = "/dev/urandom";
const LIMIT: Duration = Duration::from_secs(10);

/// `root:` and its password. Shown nowhere but where a client reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    password: String,
}

/// One for a stack that is to have one.
pub fn token(wanted: bool) -> Result<Option<Token>> {
    wanted.then(Token::generate).transpose()
}

/// What a program gets of it, unless its environment says otherwise. What is written down of a run is made before.
pub fn added(
    mut environment: BTreeMap<String, String>,
    token: Option<&Token>,
) -> BTreeMap<String, String> {
    if let Some(token) = token {
        let variable = environment.entry(VARIABLE.to_owned());
        variable.or_insert_with(|| token.text());
    }
    environment
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// One that nobody can guess.
    pub fn generate() -> Result<Self> {
        let random = Path::new(RANDOM);
        let mut bytes = [0; 16];
        File::open(random)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .at("read", random)?;
        let mut password = String::new();
        for byte in bytes {
            let _ = write!(password, "{byte:02x}");
        }
        Ok(Self { password })
    }

    pub fn text(&self) -> String {
        format!("{USER}:{}", self.password)
    }

    /// Leaves it in a file that only this user reads.
    pub fn write(&self, path: &Path) -> Result<()> {
        let _ = std::fs::remove_file(path);
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(self.text().as_bytes()))
            .at("write", path)
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).at("read", path)?;
        let password = text
            .strip_prefix(USER)
            .and_then(|rest| rest.strip_prefix(':'));
        let password = password.ok_or_else(|| {
            Failure::new(format!("`{}` contains no token", path.display()))
                .hint("`{program} down && {program} up --auth` creates a new one")
        })?;
        Ok(Self {
            password: password.to_owned(),
        })
    }

    /// Makes it the only one that the server at `address`, which has just begun, takes for its user.
    pub async fn install(&self, address: SocketAddr) -> Result<()> {
        let changed = tokio::time::timeout(LIMIT, self.change(address)).await;
        let changed =
            changed.unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs())));
        changed.map_err(|error| Failure::new(format!("can't set Milvus's password: {error}")))
    }

    async fn change(&self, address: SocketAddr) -> Result<(), String> {
        let text = |error: &(dyn std::error::Error + 'static)| chain(error);
        let stream = TcpStream::connect(address).await.map_err(|e| text(&e))?;
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .map_err(|e| text(&e))?;
        let request = Request::post(format!("http://{address}{METHOD}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(
                "authorization",
                BASE64_STANDARD.encode(format!("{USER}:{FIRST_PASSWORD}")),
            )
            .body(Full::new(Bytes::from(self.request())))
            .map_err(|e| text(&e))?;
        let asked = async {
            let response = client.send_request(request).await.map_err(|e| text(&e))?;
            outcome(response).await
        };
        tokio::select! {
            outcome = asked => outcome,
            ended = connection => Err(match ended {
                Ok(()) => "the connection was closed".to_owned(),
                Err(error) => chain(&error),
            }),
        }
    }

    /// A gRPC message: not compressed, its length, `UpdateCredentialRequest`.
    fn request(&self) -> Vec<u8> {
        let fields = [
            (2, USER.to_owned()),
            (3, BASE64_STANDARD.encode(FIRST_PASSWORD)),
            (4, BASE64_STANDARD.encode(&self.password)),
        ];
        let mut message = Vec::new();
        for (number, value) in fields {
            let length = u8::try_from(value.len()).expect("a password is short");
            message.extend([number << 3 | 2, length]);
            message.extend(value.as_bytes());
        }
        let length = u32::try_from(message.len()).expect("a password is short");
        [&[0][..], &length.to_be_bytes(), &message].concat()
    }
}

/// Milvus says most of what is wrong in the answer's message, a `Status`, which is empty where nothing is.
async fn outcome(response: Response<hyper::body::Incoming>) -> Result<(), String> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| chain(&error))?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let said = |name: &str| {
        let value = trailers.get(name).or_else(|| head.headers.get(name))?;
        Some(value.to_str().unwrap_or_default().to_owned())
    };
    match said("grpc-status").as_deref() {
        Some("0") => {}
        status => {
            let message = said("grpc-message").unwrap_or_default();
            return Err(format!("status {}: {message}", status.unwrap_or("unknown")));
        }
    }
    let message = body.to_bytes();
    match message.get(5..) {
        Some([]) => Ok(()),
        Some(status) => Err(String::from_utf8_lossy(status).into_owned()),
        None => Err("an empty answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_random_and_its_users_alone() {
        let token = Token::generate().unwrap();
        assert_ne!(token, Token::generate().unwrap());
        assert_eq!(format!("{token:?}"), "Token");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "old, and for everybody").unwrap();
        token.write(&path).unwrap();
        assert_eq!(Token::read(&path).unwrap(), token);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_request_is_as_grpc_and_milvus_have_it() {
        let token = Token {
            password: "secret".to_owned(),
        };
        let expected = b"\0\0\0\0\x1a\x12\x04root\x1a\x08TWlsdnVz\x22\x08c2VjcmV0";
        assert_eq!(token.request(), expected);
    }
}
