//! Sends the same unary calls directly, through a witness and through nginx's `grpc_pass`, in turn. Measures the CPU time per call and the
//! peak memory of each proxy, as Linux counts them, and the median latency that it adds.
//!
//!     cargo bench -p grpc-witness --bench nginx -- [--nginx PATH] [--rounds N]
//!
//! nginx runs without an access log; the witness writes its records.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use grpc_witness::{Config, Witness};
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Calls of one round: so many at a time for the CPU time, then one after the other for the latency.
const CALLS: usize = 20_000;
const CONCURRENCY: usize = 16;
const SEQUENTIAL: usize = 3_000;

/// The length of each message.
const MESSAGE: usize = 200;

/// A proxy that isn't ready by then won't be.
const READY: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).collect::<Vec<_>>();
    if let [flag, upstream, records] = &arguments[..]
        && flag == "--serve"
    {
        return serve(upstream, records.into());
    }
    // `cargo test --benches` runs this only to see whether it builds.
    let Some(at) = arguments.iter().position(|argument| argument == "--bench") else {
        return Ok(());
    };
    arguments.remove(at);
    let (mut nginx, mut rounds) = (PathBuf::from("nginx"), 5_usize);
    for pair in arguments.chunks(2) {
        match pair {
            [flag, path] if flag == "--nginx" => nginx = path.into(),
            [flag, number] if flag == "--rounds" => rounds = number.parse()?,
            _ => return Err(format!("unknown arguments: {pair:?}").into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(compare(&nginx, rounds))
}

/// A witness as a process of its own, until it is killed.
fn serve(upstream: &str, records: PathBuf) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let witness = Witness::start(Config::new(upstream, records)).await?;
        println!("{}", witness.address());
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// A proxy's process, which is killed in the end.
struct Proxy {
    name: &'static str,
    address: SocketAddr,
    process: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One round of one way.
struct Round {
    cpu: Duration,
    latency: Duration,
}

async fn compare(nginx: &Path, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let service = service().await?;
    let proxies = [
        witness(service, folder.path())?,
        start_nginx(nginx, service, folder.path()).await?,
    ];
    let mut direct = Vec::new();
    let mut through: [Vec<Round>; 2] = Default::default();
    for _ in 0..rounds {
        direct.push(round(service, None).await?.latency);
        for (proxy, done) in proxies.iter().zip(&mut through) {
            done.push(round(proxy.address, Some(proxy.process.id())).await?);
        }
    }
    println!("| | CPU per call | added median latency | peak memory |");
    println!("|---|---|---|---|");
    let mut ratios: Vec<(f64, f64)> = Vec::new();
    for (proxy, done) in proxies.iter().zip(&through) {
        let cpu = median(done.iter().map(|round| round.cpu.as_secs_f64() * 1e6));
        let added = done
            .iter()
            .zip(&direct)
            .map(|(round, direct)| (round.latency.as_secs_f64() - direct.as_secs_f64()) * 1e6);
        let added = median(added);
        let memory = peak_memory(proxy.process.id())?;
        println!(
            "| {} | {cpu:.1} µs | {added:.0} µs | {memory:.1} MB |",
            proxy.name
        );
        ratios.push((cpu, added));
    }
    if let [(own_cpu, own_latency), (cpu, latency)] = ratios[..] {
        println!(
            "CPU {:.2} of nginx's, added latency {:.2} of nginx's",
            own_cpu / cpu,
            own_latency / latency
        );
    }
    Ok(())
}

async fn round(address: SocketAddr, process: Option<u32>) -> Result<Round> {
    let client = connect(address).await?;
    let cpu = |process: Option<u32>| process.map_or(Ok(Duration::ZERO), cpu_time);
    let before = cpu(process)?;
    let mut tasks = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let client = client.clone();
        tasks.spawn(async move {
            for number in 0..CALLS / CONCURRENCY {
                call(&client, number).await?;
            }
            Ok::<(), Box<dyn Error + Send + Sync>>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let spent = cpu(process)? - before;
    let mut latencies = Vec::with_capacity(SEQUENTIAL);
    for number in 0..SEQUENTIAL {
        let began = Instant::now();
        call(&client, number).await?;
        latencies.push(began.elapsed());
    }
    latencies.sort_unstable();
    Ok(Round {
        cpu: spent / u32::try_from(CALLS)?,
        latency: latencies[SEQUENTIAL / 2],
    })
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (client, connection) = h2::client::handshake(socket).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn call(client: &SendRequest<Bytes>, number: usize) -> Result<()> {
    let request = Request::post("http://service/milvus.proto.milvus.MilvusService/Search")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "grpc-bench/1")
        .header("grpc-timeout", "10S")
        .header(
            "traceparent",
            format!("00-{:032x}-{:016x}-01", number + 1, number + 1),
        )
        .body(())?;
    let mut client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request, false)?;
    stream.send_data(message(), true)?;
    let mut body = response.await?.into_body();
    while let Some(part) = body.data().await {
        let length = part?.len();
        body.flow_control().release_capacity(length)?;
    }
    let trailers = body.trailers().await?.ok_or("no trailers")?;
    (trailers["grpc-status"] == "0")
        .then_some(())
        .ok_or_else(|| "the call failed".into())
}

fn message() -> Bytes {
    static BYTES: [u8; MESSAGE + 5] = {
        let mut bytes = [0; MESSAGE + 5];
        bytes[4] = MESSAGE as u8;
        bytes
    };
    Bytes::from_static(&BYTES)
}

/// Answers every call with a message and status OK.
async fn service() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket));
        }
    });
    Ok(address)
}

async fn answer(socket: TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut connection = h2::server::handshake(socket).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(part) = body.data().await {
                let length = part?.len();
                body.flow_control().release_capacity(length)?;
            }
            let head = Response::builder().header("content-type", "application/grpc");
            let mut stream = respond.send_response(head.body(())?, false)?;
            stream.send_data(message(), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", 0.into());
            stream.send_trailers(trailers)?;
            Ok::<(), Box<dyn Error + Send + Sync>>(())
        });
    }
    Ok(())
}

fn witness(service: SocketAddr, folder: &Path) -> Result<Proxy> {
    use std::io::BufRead as _;
    let mut process = Command::new(std::env::current_exe()?)
        .args(["--serve", &service.to_string()])
        .arg(folder.join("wire.jsonl"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let output = process.stdout.take().ok_or("standard output is piped")?;
    std::io::BufReader::new(output).read_line(&mut line)?;
    Ok(Proxy {
        name: "grpc-witness",
        address: line.trim().parse()?,
        process,
    })
}

async fn start_nginx(nginx: &Path, service: SocketAddr, folder: &Path) -> Result<Proxy> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let at = folder.display();
    let file = folder.join("nginx.conf");
    std::fs::write(
        &file,
        format!(
            "daemon off; master_process off; worker_processes 1;
             pid {at}/nginx.pid; error_log {at}/nginx.log;
             events {{ worker_connections 1024; }}
             http {{
                 access_log off;
                 client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
                 uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
                 upstream service {{ server {service}; keepalive 64; keepalive_requests 10000000; }}
                 server {{
                     listen {address} http2;
                     keepalive_requests 10000000;
                     location / {{ grpc_pass grpc://service; }}
                 }}
             }}"
        ),
    )?;
    let process = Command::new(nginx)
        .args(["-p", &at.to_string(), "-e", &format!("{at}/nginx.log"), "-c"])
        .arg(&file)
        .spawn()
        .map_err(|error| {
            format!("`{}` doesn't start: {error}\n\nhint: install the Debian package `nginx`, or name its program with `--nginx PATH`", nginx.display())
        })?;
    let proxy = Proxy {
        name: "nginx grpc_pass",
        address,
        process,
    };
    let ready = async { while TcpStream::connect(address).await.is_err() {} };
    tokio::time::timeout(READY, ready).await.map_err(|_| {
        let log = std::fs::read_to_string(folder.join("nginx.log")).unwrap_or_default();
        format!("nginx isn't ready after {READY:?}: {log}")
    })?;
    Ok(proxy)
}

/// User and system time of a process, in ticks of 10 ms.
fn cpu_time(process: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = text.rsplit_once(") ").ok_or("no name in the statistics")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// In megabytes.
fn peak_memory(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.ok_or("no peak memory")?.parse::<f64>()? / 1024.0)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
