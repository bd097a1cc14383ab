//! Milvus's own metrics, before the programs of a run and after them.

use supervise::{Result, disk};

use crate::folder::make_private;
use crate::spans::http::{self, Url};
use crate::stack::session::Session;

/// When Milvus is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

/// Writes what Milvus says of itself into the run's folder and names the file in the manifest. Returns a sentence if
/// Milvus's `page` of metrics couldn't be read. Without a page, nothing is asked.
pub async fn scrape(
    page: Option<&Url>,
    session: &mut Session,
    moment: Moment,
) -> Result<Option<String>> {
    let Some(page) = page else {
        return Ok(None);
    };
    let text = match metrics(page).await {
        Ok(text) => text,
        Err(reason) => {
            let address = format!("http://{}{}", page.authority, page.path);
            return Ok(Some(format!(
                "Milvus's own metrics couldn't be read from {address}: {reason}"
            )));
        }
    };
    let [before, after] = session.folder.server_metrics();
    let file = match moment {
        Moment::Before => before,
        Moment::After => after,
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) {
        make_private(folder)?;
    }
    disk::write_whole(&file, session.manifest.secrets.redacted(&text).as_bytes())?;
    let name = file.strip_prefix(&session.folder.path).unwrap_or(&file);
    let name = name.to_string_lossy().into_owned();
    session.manifest.server_metrics.push(name);
    Ok(None)
}

async fn metrics(page: &Url) -> std::result::Result<String, String> {
    let answer = http::get(page).await?;
    match answer.status {
        200 => String::from_utf8(answer.body).map_err(|error| error.to_string()),
        status => Err(format!("it answered with status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::RunFolder;
    use otlp_capture::Secrets;
    use supervise::Supervisor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server's page that answers every request with `answer`.
    async fn page(answer: &'static str) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = client.read(&mut request).await;
                let _ = client.write_all(answer.as_bytes()).await;
            }
        });
        Url::local(port, "/metrics")
    }

    #[tokio::test]
    async fn a_page_is_kept_without_secrets_and_a_missing_one_is_told() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::at(root.path());
        let mut session = Session::open_in(folder, Supervisor::default(), "embedded");
        session.manifest.secrets = Secrets::new(["hush-hush"]);
        let good =
            page("HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\ncalls{by=\"hush-hush\"} 1\n").await;
        let bad = page("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;

        let mut told =
            async |page, moment| scrape(page, &mut session, moment).await.expect("a disk");
        assert_eq!(told(None, Moment::Before).await, None);
        assert_eq!(told(Some(&good), Moment::Before).await, None);
        let missing = format!(
            "Milvus's own metrics couldn't be read from http://{}/metrics: it answered with status 503",
            bad.authority
        );
        assert_eq!(told(Some(&bad), Moment::After).await, Some(missing));

        assert_eq!(
            session.manifest.server_metrics,
            ["server-metrics/before.prom"]
        );
        let kept = std::fs::read_to_string(root.path().join("server-metrics/before.prom"));
        assert_eq!(kept.expect("a file"), "calls{by=\"*********\"} 1\n");
    }
}
