//! Contexts that an old server drops, and the two proxies that mend them: the witness, and Debian's nginx as docs/mend.md has it.

mod support;

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};

use support::{
    Expected, Finished, alone, are_expected, clients, free_address, root, skip,
    skipped_without_tutorial_ports, told, until, xtask,
};

/// nginx before a Milvus. Ends when it is dropped.
struct Nginx {
    address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// Debian's, with the page's configuration but for its port; `None` if it isn't installed.
    fn start() -> Option<Self> {
        let page = std::fs::read_to_string(root().join("docs/mend.md")).expect("the page");
        let (_, block) = page.split_once("```nginx\n").expect("a configuration");
        let (block, _) = block.split_once("```").expect("its end");
        let address = free_address();
        let block = block.replace("listen 19531", &format!("listen {address}"));
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().display();
        let file = folder.path().join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/log;
             events {{}}
             http {{
                 access_log off;
                 client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
                 uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
                 {block}
             }}"
        );
        std::fs::write(&file, text).expect("a file");
        let log = format!("{at}/log");
        let program =
            std::env::var("NGINX_PROGRAM").unwrap_or_else(|_| "/usr/sbin/nginx".to_owned());
        let started = Command::new(program)
            .args(["-p", &at.to_string(), "-e", &log, "-c"])
            .arg(&file)
            .spawn();
        let process = started.ok()?;
        let mut nginx = Self {
            address,
            process,
            _folder: folder,
        };
        until("nginx listens", || {
            let ended = nginx.process.try_wait().expect("a process");
            let told = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "nginx: {}", told());
            TcpStream::connect(address).ok()
        });
        Some(nginx)
    }
}

/// The Java example's command with the newest agent.
fn java() -> Vec<String> {
    let [example, newest] = clients::javas();
    let settings = root().join("examples-java/otel.properties");
    vec![
        "java".to_owned(),
        format!(
            "-javaagent:{}/opentelemetry-javaagent.jar",
            newest.display()
        ),
        format!("-Dotel.javaagent.configuration-file={}", settings.display()),
        "-jar".to_owned(),
        format!("{}/quick-setup.jar", example.display()),
    ]
}

fn python() -> Vec<String> {
    let program = root().join("examples-py/quick_setup.py");
    [clients::newer_python(), program]
        .map(|path| path.display().to_string())
        .into()
}

/// Runs a program against the stack that is up.
fn exec(options: &[&str], command: &[String], uri: Option<&str>) -> Finished {
    let mut arguments = vec!["exec", "--format", "json"];
    arguments.extend(options);
    arguments.push("--");
    arguments.extend(command.iter().map(String::as_str));
    let run = xtask(&arguments).env("OTEL_BSP_SCHEDULE_DELAY", "200");
    match uri {
        Some(uri) => run.env("MILVUS_URI", uri).finish(),
        None => run.finish(),
    }
}

#[test]
#[ignore = "installs packages of Python and Java, needs nginx, and runs programs against Milvus"]
fn slow_the_witness_and_nginx_mend_contexts_that_the_server_drops() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let Some(nginx) = Nginx::start() else {
        return skip(
            "nginx isn't installed: install Debian's package `nginx`, or name its program in `NGINX_PROGRAM`",
        );
    };
    let through = format!("http://{}", nginx.address);
    let programs = [("python", python()), ("java", java())];
    let up = xtask(&["up"]).finish();
    assert!(up.status.success(), "{}", up.stderr);
    let mut wrong = String::new();
    for (name, command) in &programs {
        let mut check = |how: &str, run: &Finished, expected: &[Expected]| {
            let found = told(&run.json());
            if !are_expected(&found, expected) {
                wrong += &format!("{name} {how}: {found:#?}\n{}\n", run.stderr);
            }
        };
        let lost = [("error", "context-lost", "")];
        check("directly", &exec(&[], command, None), &lost);
        let ignored = [("error", "context-ignored", "-03`")];
        let witnessed = exec(&["--witness"], command, None);
        check("with a witness", &witnessed, &ignored);
        check("mended", &exec(&["--mend"], command, None), &[]);
        check("by nginx", &exec(&[], command, Some(&through)), &[]);
    }
    let down = xtask(&["down"]).finish();
    assert_eq!(down.code(), Some(0), "{}", down.stderr);
    assert!(wrong.is_empty(), "{wrong}");
}
