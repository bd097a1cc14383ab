//! gRPC's own interoperability tests, by the client and the server of grpc-go, straight and through a witness.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use grpc_witness::{Ending, OutOfSight};
use tokio::net::TcpStream;

use crate::peers::{LIMIT, witness};

const VERSION: &str = "v1.80.0";

/// All of the client's cases that need neither TLS nor an account, but for `pick_first_unary`, which this server doesn't answer: it sends no
/// server id.
const CASES: [&str; 16] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "orca_per_rpc",
    "orca_oob",
];

/// Cases whose client gives up so soon that nothing may have been sent.
const AT_ONCE: [&str; 2] = ["timeout_on_sleeping_server", "cancel_after_begin"];

/// What the cases about load reports are made for.
const LOAD_BALANCER: &str =
    r#"--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds grpc-go's interoperability client and server"]
async fn slow_grpcs_interoperability_cases_pass_through_it_as_without() {
    if Command::new("go").arg("version").output().is_err() {
        return test_support::skip("the interoperability tests: `go` is not on PATH");
    }
    let folder = programs();
    let address: SocketAddr = (std::net::Ipv4Addr::LOCALHOST, free_port()).into();
    let mut server = tokio::process::Command::new(folder.join("server"))
        .arg(format!("--port={}", address.port()))
        .kill_on_drop(true)
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let ready = async { while TcpStream::connect(address).await.is_err() {} };
    tokio::time::timeout(LIMIT, ready).await.expect("ready");

    for case in CASES {
        let straight = passes(&folder, case, address).await;
        assert_eq!(straight, Ok(()), "{case} without a witness");
        for mends in [false, true] {
            let between = witness(address, |config| config.mends = mends).await;
            let through = passes(&folder, case, between.address()).await;
            assert_eq!(through, Ok(()), "{case} with a witness that mends: {mends}");
            let seen = between.stop().await;
            let may_send_nothing = AT_ONCE.contains(&case);
            assert!(may_send_nothing || !seen.calls().is_empty(), "{case}");
            let open = seen
                .calls()
                .into_iter()
                .find(|call| matches!(call.ending, Ending::Open | Ending::OutOfSight));
            assert_eq!(open, None, "{case}");
            let unread: Vec<OutOfSight> = seen
                .connections()
                .iter()
                .filter_map(|connection| connection.out_of_sight)
                .collect();
            assert_eq!(unread, [], "{case}");
        }
        println!("{case} passes");
    }
    server.kill().await.expect("ended");
}

/// The folder of the client and the server, which are built unless they are there.
fn programs() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/milvus-otel/tools");
    let folder = tools.join(format!("grpc-interop-{VERSION}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let folder = folder.canonicalize().expect("a folder");
    for program in ["client", "server"] {
        if folder.join(program).exists() {
            continue;
        }
        let package = format!("google.golang.org/grpc/interop/{program}@{VERSION}");
        let installed = Command::new("go")
            .args(["install", &package])
            .env("GOBIN", &folder)
            .env("GOFLAGS", "-mod=mod")
            .status();
        assert!(installed.expect("go runs").success(), "{package}");
    }
    folder
}

/// Whether one case passes, or what its client says.
async fn passes(folder: &Path, case: &str, server: SocketAddr) -> Result<(), String> {
    let output = tokio::process::Command::new(folder.join("client"))
        .arg(format!("--server_host={}", server.ip()))
        .arg(format!("--server_port={}", server.port()))
        .arg(format!("--test_case={case}"))
        .args(case.starts_with("orca").then_some(LOAD_BALANCER))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, output).await;
    let output = output.expect("in time").expect("the client runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(said)
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
