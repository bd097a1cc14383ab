//! The compatibility map: each way a variant can end has its own outcome, and an interrupted measurement can be continued.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{alone, root, until, xtask};

/// An example whose version selects how its preparation fails, and whose program never ends.
const EXAMPLE: &str = r#"
name = "odds"

[prepare]
inputs = ["prepare.sh", "version"]
outputs = ["{state}/made"]
commands = [["sh", "prepare.sh", "{state}"]]
versions = ["sh", "-c", "echo thing $(sed s/other/9/ version)"]

[run]
command = ["sh", "-c", "echo under way; sleep 600"]
timeout_seconds = 1

[matrix]
set = [["sh", "-c", "echo {version} > version"]]

[matrix.signs]
no-such-version = ["there is no thing"]
registry-unreachable = ["no such host"]
error = ["error:"]
"#;

const PREPARE: &str = r#"
case "$(cat version)" in
    *absent) echo "there is no thing of that version"; exit 1 ;;
    *away) echo "no such host: registry.example"; exit 1 ;;
    *full) cat prepare.sh > /dev/full; exit 1 ;;
    *broken) echo "compiling"; echo "error: \"quoted\" <b>| isn't a type"; exit 1 ;;
    *gated) test -e "$GATE" || exec sleep 600 ;;
esac
touch "$1/made"
"#;

const HEAD: &str = r#"
schema = "milvus-otel.matrix/1"

[[example]]
name = "odds"
axes = [{ name = "thing", packages = ["thing"] }]
"#;

struct Odds {
    folder: tempfile::TempDir,
    results: Option<PathBuf>,
}

impl Odds {
    fn new(variants: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let odds = Self {
            folder,
            results: None,
        };
        odds.write("odds/example.toml", EXAMPLE);
        odds.write("odds/prepare.sh", PREPARE);
        odds.write("odds/version", "1.0");
        odds.write("plan.toml", &format!("{HEAD}{variants}"));
        let made = Command::new("git")
            .args(["init", "--quiet"])
            .current_dir(odds.folder.path())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "git is there");
        odds
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        let parent = path.parent().expect("a folder");
        std::fs::create_dir_all(parent).expect("a folder");
        std::fs::write(path, text).expect("it can be written");
    }

    fn path(&self, path: &str) -> String {
        let path = self.folder.path().join(path);
        path.to_str().expect("a UTF-8 path").to_owned()
    }

    fn arguments(&self) -> Vec<String> {
        [
            "matrix",
            "--plan",
            &self.path("plan.toml"),
            "--examples",
            &self.path("odds"),
            "--jobs",
            "1",
        ]
        .map(str::to_owned)
        .into()
    }

    /// The folder with the results of this plan: the only one that has this variant.
    fn record(&mut self, variant: &str) -> PathBuf {
        let matrix = root().join("target/milvus-otel/matrix");
        let path = until("the variant is measured", || {
            let folders = std::fs::read_dir(&matrix).ok()?.flatten();
            folders
                .map(|folder| folder.path().join("odds").join(variant).join("record.json"))
                .find(|path| path.is_file())
        });
        self.results = path.ancestors().nth(3).map(Path::to_owned);
        path
    }
}

impl Drop for Odds {
    fn drop(&mut self) {
        if let Some(results) = &self.results {
            let _ = std::fs::remove_dir_all(results);
        }
    }
}

fn found<'a>(map: &'a Value, example: &str, variant: &str) -> &'a Value {
    let named = |list: &'a Value, name: &str| {
        let list = list.as_array().expect("a list");
        list.iter()
            .find(|one| one["name"] == name)
            .expect("its name is there")
    };
    &named(&named(&map["examples"], example)["variants"], variant)["found"]
}

#[test]
fn each_way_a_variant_can_end_has_its_own_outcome_and_the_others_continue() {
    let _turn = alone();
    let mut odds = Odds::new(
        r#"
variants = [
    { name = "odd-absent", set = { thing = "1.0-absent" }, expect = "could-not-run", reason = "a test" },
    { name = "odd-away", set = { thing = "1.0-away" }, expect = "could-not-run", reason = "a test" },
    { name = "odd-full", set = { thing = "1.0-full" }, expect = "could-not-run", reason = "a test" },
    { name = "odd-broken", set = { thing = "1.0-broken" }, expect = "does-not-build", reason = "a test" },
    { name = "odd-other", set = { thing = "1.0-other" }, expect = "does-not-build", reason = "a test" },
    { name = "odd-hangs", set = { thing = "1.1" }, expect = "could-not-run", reason = "a test" },
    { name = "odd-worse", set = { thing = "1.2-broken" } },
]

[[example]]
name = "java"
axes = [{ name = "agent", packages = ["io.opentelemetry.javaagent:opentelemetry-javaagent"] }]
variants = [
    { name = "lost", set = { agent = "2.26.1" }, expect = "server-half-lost", reason = "a test" },
]
"#,
    );
    let arguments = odds.arguments();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["--format", "json"]);
    let finished = xtask(&arguments).finish();
    // One variant has a worse outcome than expected.
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    let map = finished.json();
    let check = |example: &str, variant: &str, outcome: &str, cause: Value| {
        let found = found(&map, example, variant);
        assert_eq!(found["outcome"], outcome, "{variant}: {found}");
        assert_eq!(found["cause"], cause, "{variant}: {found}");
        assert_eq!(found["as_expected"], variant != "odd-worse", "{variant}");
    };
    check(
        "odds",
        "odd-absent",
        "could-not-run",
        "no-such-version".into(),
    );
    check(
        "odds",
        "odd-away",
        "could-not-run",
        "registry-unreachable".into(),
    );
    check("odds", "odd-full", "could-not-run", "disk-full".into());
    check(
        "odds",
        "odd-broken",
        "does-not-build",
        "build-failed".into(),
    );
    check(
        "odds",
        "odd-other",
        "does-not-build",
        "other-version".into(),
    );
    check("odds", "odd-hangs", "could-not-run", "timed-out".into());
    check("odds", "odd-worse", "does-not-build", "build-failed".into());
    check("java", "lost", "server-half-lost", Value::Null);
    let lost = found(&map, "java", "lost");
    assert_eq!(lost["rules"], serde_json::json!(["context-lost"]));
    assert_eq!(lost["joined"], 0);

    let log = odds.record("odd-broken").with_file_name("prepare.log");
    let log = std::fs::read_to_string(log).expect("a variant that doesn't build leaves its log");
    assert!(log.starts_with("compiling"), "{log}");
}

/// Real package managers, asked for versions that no registry has.
const ABSENT: &str = r#"
variants = [{ name = "real-away", set = { thing = "3.0-away" }, expect = "could-not-run", reason = "a test" }]

[[example]]
name = "py"
axes = [{ name = "sdk", packages = ["pymilvus"] }]
variants = [{ name = "absent", set = { sdk = "2.5.999" }, expect = "could-not-run", reason = "a test" }]

[[example]]
name = "go"
axes = [{ name = "sdk", packages = ["github.com/milvus-io/milvus/client/v2"] }]
variants = [{ name = "absent", set = { sdk = "2.5.999" }, expect = "could-not-run", reason = "a test" }]

[[example]]
name = "node"
axes = [{ name = "sdk", packages = ["@zilliz/milvus2-sdk-node"] }]
variants = [{ name = "absent", set = { sdk = "2.5.999" }, expect = "could-not-run", reason = "a test" }]

[[example]]
name = "java"
axes = [{ name = "agent", packages = ["io.opentelemetry.javaagent:opentelemetry-javaagent"] }]
variants = [{ name = "absent", set = { agent = "2.25.999" }, expect = "could-not-run", reason = "a test" }]
"#;

/// An address where nothing listens, as a setting of each package manager.
const NOWHERE: [(&str, &str); 5] = [
    ("PIP_INDEX_URL", "http://127.0.0.1:9"),
    ("PIP_RETRIES", "1"),
    ("GOPROXY", "http://127.0.0.1:9"),
    ("npm_config_registry", "http://127.0.0.1:9"),
    (
        "MAVEN_OPTS",
        "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9",
    ),
];

#[test]
fn an_unreachable_registry_is_distinguished_from_a_missing_version() {
    let _turn = alone();
    let mut odds = Odds::new(ABSENT);
    for (cause, environment) in [
        ("no-such-version", &[][..]),
        ("registry-unreachable", &NOWHERE),
    ] {
        let mut arguments = odds.arguments();
        arguments.extend(["--format", "json"].map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let command = environment
            .iter()
            .fold(xtask(&arguments), |command, (name, value)| {
                command.env(name, value)
            });
        let finished = command.finish();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        let map = finished.json();
        for example in ["py", "go", "node", "java"] {
            let found = found(&map, example, "absent");
            assert_eq!(found["cause"], cause, "{example}: {found}");
        }
        odds.record("real-away");
    }
}

#[test]
fn an_interrupted_measurement_continues_where_it_stopped() {
    let _turn = alone();
    let mut odds = Odds::new(
        r#"
variants = [
    { name = "resumed-first", set = { thing = "2.0-broken" }, expect = "does-not-build", reason = "a test" },
    { name = "resumed-second", set = { thing = "2.1-gated" }, expect = "could-not-run", reason = "a test" },
]
"#,
    );
    let arguments = odds.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let gate = odds.path("gate");
    let mut running = xtask(&arguments).env("GATE", &gate).start();
    running.until("the second variant is prepared", |there| {
        there.with("sleep 600")
    });
    let record = odds.record("resumed-first");
    let before = std::fs::metadata(&record)
        .and_then(|file| file.modified())
        .expect("a record");
    running.signal("-INT");
    let finished = running.finish();
    assert_eq!(finished.code(), Some(130), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("goes on from there"),
        "{}",
        finished.stderr
    );

    odds.write("gate", "");
    let finished = xtask(&arguments).env("GATE", &gate).finish();
    assert_eq!(
        finished.code(),
        Some(0),
        "{}{}",
        finished.stdout,
        finished.stderr
    );
    assert!(
        finished.stdout.starts_with("as expected   2 variants"),
        "{}",
        finished.stdout
    );
    let after = std::fs::metadata(&record)
        .and_then(|file| file.modified())
        .expect("a record");
    assert_eq!(before, after, "what was measured is not measured again");
}
