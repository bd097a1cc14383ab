//! The versions that a project pins: read from lists of dependencies, build files, and commands that name a Java agent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use harness::prepare::task::Versions;
use supervise::{Failure, Result};

/// The agent's name as Maven has it.
const AGENT: &str = "io.opentelemetry.javaagent:opentelemetry-javaagent";
/// The texts before the agent's version: in a file's name, in a Maven repository's path, in a release's address.
const BEFORE_VERSION: [&str; 3] = [
    "opentelemetry-javaagent-",
    "opentelemetry-javaagent/",
    "opentelemetry-java-instrumentation/releases/download/v",
];

/// The packages that a file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pins {
    pub versions: Versions,
    /// Named without a version, by their normal names.
    pub unpinned: BTreeSet<String>,
}

type Reader = fn(&str) -> std::result::Result<Pins, String>;

/// How a file is read, by its name; `None` where its kind isn't known.
fn reader(name: &str) -> Option<Reader> {
    let starts = |prefix: &str| name.starts_with(prefix);
    let ends = |suffix: &str| name.ends_with(suffix);
    let reader: Reader = match name {
        "uv.lock" | "poetry.lock" => tables,
        "package-lock.json" => npm,
        "go.mod" => |text| Ok(lines(text)),
        "pom.xml" => maven,
        "build.gradle" | "build.gradle.kts" => |text| Ok(gradle(text)),
        "libs.versions.toml" => catalog,
        _ if starts("requirements") && ends(".txt") => |text| Ok(lines(text)),
        _ if has_commands(name) => |text| Ok(commands(text)),
        _ => return None,
    };
    Some(reader)
}

/// Whether a file of this name is a shell script, a Dockerfile, a Compose file or one of variables.
fn has_commands(name: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    starts(&["Dockerfile", "Containerfile"])
        || ends(&[".sh", ".env", ".Dockerfile"])
        || (starts(&["docker-compose", "compose"]) && ends(&[".yml", ".yaml"]))
}

/// Whether a file of this name may pin versions.
pub(crate) fn may_pin(name: &str) -> bool {
    reader(name).is_some()
}

/// Whether a file of this name lists a project's dependencies.
pub(crate) fn is_list(name: &str) -> bool {
    may_pin(name) && !has_commands(name)
}

/// The pins of a file; one that can't be understood is an error.
pub(crate) fn pins(file: &Path, text: &str) -> Result<Pins> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let read = reader(&name).unwrap_or(|text| Ok(lines(text)));
    read(text).map_err(|error| Failure::new(format!("can't read `{}`: {error}", file.display())))
}

impl Pins {
    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.unpinned.is_empty()
    }

    /// The pinned version, by the package's name as anybody spells it.
    pub(crate) fn version(&self, package: &str) -> Option<&str> {
        resolved(&self.versions, package)
    }

    pub(crate) fn names(&self, package: &str) -> bool {
        self.version(package).is_some() || self.unpinned.contains(&normal(package))
    }
}

/// The resolved version of a package, in any spelling of its name.
pub(crate) fn resolved<'a>(versions: &'a Versions, package: &str) -> Option<&'a str> {
    let same = |name: &str| normal(name) == normal(package);
    versions
        .iter()
        .find(|(name, _)| same(name))
        .map(|(_, version)| version.as_str())
}

/// Python's registry treats `_` as `-` and ignores case.
fn normal(package: &str) -> String {
    package.to_ascii_lowercase().replace('_', "-")
}

impl From<Versions> for Pins {
    fn from(versions: Versions) -> Self {
        Self {
            versions,
            unpinned: BTreeSet::new(),
        }
    }
}

fn npm(text: &str) -> std::result::Result<Pins, String> {
    let lock: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let packages = lock.get("packages").and_then(serde_json::Value::as_object);
    let versions: Versions = packages
        .into_iter()
        .flatten()
        .filter_map(|(path, package)| {
            let name = path.strip_prefix("node_modules/")?;
            let version = package.get("version")?.as_str()?;
            Some((name.to_owned(), version.to_owned()))
        })
        .collect();
    Ok(versions.into())
}

/// What has `[[package]]` tables, such as `uv.lock`.
fn tables(text: &str) -> std::result::Result<Pins, String> {
    let lock: toml::Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let versions: Versions = packages
        .into_iter()
        .flatten()
        .filter_map(|package| {
            let text = |key| package.get(key).and_then(toml::Value::as_str);
            Some((text("name")?.to_owned(), text("version")?.to_owned()))
        })
        .collect();
    Ok(versions.into())
}

/// What has a group, an artifact and a version, as dependencies, plugins and artifact items have, and the agents of command lines; enough for one
/// file without parents.
fn maven(pom: &str) -> std::result::Result<Pins, String> {
    let document = roxmltree::Document::parse(pom).map_err(|error| error.to_string())?;
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node
            .children()
            .find(|child| child.tag_name().name() == name)?;
        Some(child.text()?.trim().to_owned())
    };
    let elements = || document.descendants().filter(roxmltree::Node::is_element);
    let tables = elements().filter(|node| node.tag_name().name() == "properties");
    let properties: BTreeMap<String, String> = tables
        .flat_map(|table| table.children())
        .filter_map(|property| {
            Some((
                property.tag_name().name().to_owned(),
                property.text()?.trim().to_owned(),
            ))
        })
        .collect();
    let pinned = |node| {
        let version = expanded(&text(node, "version")?, &properties);
        let name = format!("{}:{}", text(node, "groupId")?, text(node, "artifactId")?);
        (!version.contains('$')).then_some((name, version))
    };
    let mut versions: Versions = elements().filter_map(pinned).collect();
    let words = elements().filter_map(|node| node.text());
    for words in words.filter(|words| words.contains("-javaagent:")) {
        versions.extend(agent(&expanded(words, &properties)));
    }
    Ok(versions.into())
}

/// `group:artifact:version` in quotes, and `group`, `name` and `version` by name, in Groovy or Kotlin.
fn gradle(text: &str) -> Pins {
    let variables: BTreeMap<String, String> = text.lines().filter_map(assignment).collect();
    let mut pins = Pins::default();
    for line in text.lines().map(without_comment) {
        let line = expanded(line, &variables);
        for word in quoted(&line) {
            let mut parts = word.splitn(3, ':');
            let (Some(group), Some(artifact)) = (parts.next(), parts.next()) else {
                continue;
            };
            pins.add(format!("{group}:{artifact}"), parts.next());
        }
        let named = |key: &str| value_of(&line, key);
        if let (Some(group), Some(artifact)) = (named("group"), named("name")) {
            pins.add(format!("{group}:{artifact}"), named("version").as_deref());
        }
    }
    pins.versions.extend(agent(&expanded(text, &variables)));
    pins
}

/// Gradle's version catalog.
fn catalog(text: &str) -> std::result::Result<Pins, String> {
    let file: toml::Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let version = |value: &toml::Value| -> Option<String> {
        let rich = ["strictly", "require", "prefer"];
        let text = value
            .as_str()
            .or_else(|| rich.iter().find_map(|key| value.get(key)?.as_str()));
        text.map(str::to_owned)
    };
    let declared = |name: &str| version(file.get("versions")?.get(name)?);
    let mut pins = Pins::default();
    let libraries = file.get("libraries").and_then(toml::Value::as_table);
    for library in libraries.into_iter().flat_map(toml::Table::values) {
        let text = |key: &str| library.get(key).and_then(toml::Value::as_str);
        if let Some(whole) = library.as_str() {
            if let Some((name, version)) = whole.rsplit_once(':') {
                pins.add(name.to_owned(), Some(version));
            }
            continue;
        }
        let parts = || Some(format!("{}:{}", text("group")?, text("name")?));
        let Some(name) = text("module").map(str::to_owned).or_else(parts) else {
            continue;
        };
        let stated = library.get("version");
        let by_name = stated
            .and_then(|stated| stated.get("ref"))
            .and_then(toml::Value::as_str);
        let version = match by_name {
            Some(name) => declared(name),
            None => stated.and_then(version),
        };
        pins.add(name, version.as_deref());
    }
    Ok(pins)
}

/// A shell script, a Dockerfile or a Compose file: the agent that a command loads or fetches.
fn commands(text: &str) -> Pins {
    let variables: BTreeMap<String, String> = text.lines().filter_map(assignment).collect();
    let versions: Versions = agent(&expanded(text, &variables)).into_iter().collect();
    versions.into()
}

/// The lines of go.mod, of a requirements file or of a list of installed packages.
fn lines(text: &str) -> Pins {
    let mut pins = Pins::default();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let line = line
            .split([';', '\\', '#'])
            .next()
            .unwrap_or_default()
            .trim();
        let line = line.strip_prefix("require ").unwrap_or(line);
        match versions::pinned(line) {
            Some((name, version)) => {
                // `name[extra]==1.2`.
                let name = name.split('[').next().unwrap_or(&name).trim().to_owned();
                pins.versions.insert(name, version);
            }
            None => {
                let end = line
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
                    .unwrap_or(line.len());
                let name = &line[..end];
                if !name.is_empty() && !name.starts_with('-') {
                    pins.unpinned.insert(normal(name));
                }
            }
        }
    }
    pins
}

impl Pins {
    fn add(&mut self, name: String, version: Option<&str>) {
        // `1.2@jar` names a kind of file, too.
        let version = version.map(|version| version.split('@').next().unwrap_or(version));
        match version.filter(|version| version.starts_with(|c: char| c.is_ascii_digit())) {
            Some(version) => {
                self.versions.insert(name, version.to_owned());
            }
            None => {
                self.unpinned.insert(normal(&name));
            }
        }
    }
}

/// The version of the agent that a text names by file or address.
fn agent(text: &str) -> Option<(String, String)> {
    let version = |before: &str| {
        text.match_indices(before).find_map(|(at, _)| {
            let rest = &text[at + before.len()..];
            let end = rest
                .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                .unwrap_or(rest.len());
            let version = rest[..end].trim_end_matches('.');
            version.contains('.').then(|| version.to_owned())
        })
    };
    BEFORE_VERSION
        .iter()
        .find_map(|before| version(before))
        .map(|version| (AGENT.to_owned(), version))
}

/// `NAME=value`, `ARG NAME=value`, `val name = "value"`, `NAME: value`; a value is a word or in quotes.
fn assignment(line: &str) -> Option<(String, String)> {
    let line = without_comment(line);
    let (name, value) = line.split_once('=').or_else(|| line.split_once(": "))?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let name = name
        .trim_end()
        .rsplit(|c: char| !is_part(c))
        .next()
        .filter(|name| !name.is_empty())?;
    let value = value.trim().trim_matches(['"', '\'', ';']);
    let is_word = !value.is_empty() && !value.contains(char::is_whitespace);
    is_word.then(|| {
        let name = name.rsplit('.').next().unwrap_or(name);
        (name.to_owned(), value.to_owned())
    })
}

/// Puts values in the place of `${name}`, `${name:-other}` and `$name`; unknown ones stay.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, end) = match after.strip_prefix('{') {
            Some(inner) => {
                let end = inner.find('}').unwrap_or(inner.len());
                (&inner[..end], (end + 2).min(after.len()))
            }
            None => {
                let end = after.find(|c: char| !is_part(c)).unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        let (name, default) = name.split_once(":-").unwrap_or((name, ""));
        let short = name.rsplit('.').next().unwrap_or(name);
        let value = variables.get(name).or_else(|| variables.get(short));
        match value
            .map(String::as_str)
            .or((!default.is_empty()).then_some(default))
        {
            Some(value) => out.push_str(value),
            None => {
                out.push('$');
                out.push_str(&after[..end]);
            }
        }
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// Cut off where a comment begins: `//` or `#` at the line's beginning or after a blank.
fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| *at == 0 || line[..*at].ends_with(char::is_whitespace);
    let signs = ["//", "#"];
    let first = signs
        .iter()
        .filter_map(|sign| line.match_indices(sign).map(|(at, _)| at).find(begins))
        .min();
    &line[..first.unwrap_or(line.len())]
}

/// The texts in single or double quotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split(['"', '\'']).skip(1).step_by(2)
}

/// The quoted value after `key:` or `key =`.
fn value_of(line: &str, key: &str) -> Option<String> {
    line.match_indices(key).find_map(|(at, _)| {
        let rest = line[at + key.len()..].trim_start();
        let rest = rest.strip_prefix([':', '='])?.trim_start();
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c))?;
        rest[1..].split(quote).next().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_every_kind_are_read() {
        let check = |file: &str, text: &str, package: &str, version: &str| {
            assert!(is_list(file), "{file}");
            let pins = pins(Path::new(file), text).unwrap();
            assert_eq!(pins.version(package), Some(version), "{file}: {pins:?}");
        };
        check(
            "requirements.txt",
            "grpcio==1.67.1 \\\n    --hash=sha256:00\nPyMilvus[x]==2.5.9 ; python_version > \"3\"\n",
            "pymilvus",
            "2.5.9",
        );
        check("requirements-dev.txt", "a==1.2\n", "a", "1.2");
        check(
            "go.mod",
            "module x\n\nrequire (\n\tgoogle.golang.org/grpc v1.80.0 // indirect\n)\n",
            "google.golang.org/grpc",
            "1.80.0",
        );
        check(
            "package-lock.json",
            r#"{"packages": {"": {"version": "1.0.0"}, "node_modules/@grpc/grpc-js": {"version": "1.12.0"}}}"#,
            "@grpc/grpc-js",
            "1.12.0",
        );
        for lock in ["uv.lock", "poetry.lock"] {
            check(
                lock,
                "version = 1\n\n[[package]]\nname = \"pymilvus\"\nversion = \"2.5.9\"\n",
                "pymilvus",
                "2.5.9",
            );
        }
        check(
            "pom.xml",
            "<?xml version=\"1.0\"?><project><properties><agent.v>2.26.1</agent.v></properties><dependencies><!-- <dependency> --><dependency>\n<groupId>g</groupId> <artifactId>a</artifactId><version>${agent.v}</version></dependency></dependencies></project>",
            "g:a",
            "2.26.1",
        );
        check(
            "pom.xml",
            "<project><build><plugin><groupId>p</groupId><artifactItem><groupId>g</groupId><artifactId>agent</artifactId><version> 2.26.1 </version></artifactItem></plugin></build></project>",
            "g:agent",
            "2.26.1",
        );
        check(
            "pom.xml",
            "<project><properties><v>2.26.1</v></properties><plugin><configuration><argLine>-Xmx1g -javaagent:${basedir}/lib/opentelemetry-javaagent-${v}.jar</argLine></configuration></plugin></project>",
            AGENT,
            "2.26.1",
        );
    }

    #[test]
    fn gradle_in_groovy_in_kotlin_and_by_catalog() {
        let check = |file: &str, text: &str, expected: &[(&str, &str)]| {
            let pins = pins(Path::new(file), text).unwrap();
            let found: Vec<(&str, &str)> = pins
                .versions
                .iter()
                .map(|(name, version)| (name.as_str(), version.as_str()))
                .collect();
            assert_eq!(found, expected, "{file}: {text}");
        };
        let sdk = ("io.milvus:milvus-sdk-java", "2.6.22");
        let agent = (AGENT, "2.33.1");
        check(
            "build.gradle.kts",
            "plugins { application }\ndependencies { implementation(\"io.milvus:milvus-sdk-java:2.6.22\"); runtimeOnly(\"io.opentelemetry.javaagent:opentelemetry-javaagent:2.33.1\") }\n",
            &[sdk, agent],
        );
        check(
            "build.gradle",
            "def otel = '2.33.1'\next.milvusVersion = \"2.6.22\"\ndependencies {\n  implementation \"io.milvus:milvus-sdk-java:$milvusVersion\"\n  agent \"io.opentelemetry.javaagent:opentelemetry-javaagent:${otel}@jar\" // agent:of:1.0\n}\n",
            &[sdk, agent],
        );
        check(
            "build.gradle",
            "implementation group: 'io.milvus', name: 'milvus-sdk-java', version: '2.6.22'\n",
            &[sdk],
        );
        check(
            "build.gradle.kts",
            "val agentVersion by extra(\"2.33.1\")\nimplementation(group = \"io.milvus\", name = \"milvus-sdk-java\", version = \"2.6.22\")\n// implementation(\"a:b:1.0\")\n",
            &[sdk],
        );
        check(
            "build.gradle",
            "application { applicationDefaultJvmArgs = ['-javaagent:lib/opentelemetry-javaagent-2.33.1.jar'] }\n",
            &[agent],
        );
        check(
            "libs.versions.toml",
            "[versions]\nmilvus = \"2.6.22\"\nagent = { strictly = \"2.33.1\" }\n[libraries]\nsdk = { module = \"io.milvus:milvus-sdk-java\", version.ref = \"milvus\" }\nagent = { group = \"io.opentelemetry.javaagent\", name = \"opentelemetry-javaagent\", version = { ref = \"agent\" } }\nwhole = \"a:b:1.0\"\nnone = { module = \"c:d\" }\n",
            &[("a:b", "1.0"), sdk, agent],
        );
    }

    #[test]
    fn the_agent_of_a_command_is_found() {
        let check = |file: &str, text: &str, version: Option<&str>| {
            assert!(may_pin(file) && !is_list(file), "{file}");
            let pins = pins(Path::new(file), text).unwrap();
            assert_eq!(pins.version(AGENT), version, "{file}: {text}");
        };
        let found = Some("2.33.1");
        check(
            "run.sh",
            "exec java -javaagent:/opt/opentelemetry-javaagent-2.33.1.jar -jar app.jar\n",
            found,
        );
        check(
            "Dockerfile",
            "FROM eclipse-temurin:21\nARG OTEL=2.33.1\nADD https://github.com/open-telemetry/opentelemetry-java-instrumentation/releases/download/v${OTEL}/opentelemetry-javaagent.jar /agent.jar\nENV JAVA_TOOL_OPTIONS=-javaagent:/agent.jar\n",
            found,
        );
        check(
            "start.sh",
            "VERSION=\"2.33.1\"\njava -javaagent:$HOME/.m2/repository/io/opentelemetry/javaagent/opentelemetry-javaagent/$VERSION/opentelemetry-javaagent-$VERSION.jar\n",
            found,
        );
        check(
            "compose.yaml",
            "environment:\n  JAVA_TOOL_OPTIONS: -javaagent:/otel/opentelemetry-javaagent-2.33.1.jar\n",
            found,
        );
        check("run.sh", "java -javaagent:agent.jar -jar app.jar\n", None);
        check(
            "run.sh",
            "java -javaagent:opentelemetry-javaagent-${V:-2.33.1}.jar\n",
            found,
        );
    }

    #[test]
    fn packages_without_a_version_are_named() {
        let pins = pins(
            Path::new("requirements.txt"),
            "langchain_milvus\npymilvus<3\n-r other.txt\n# llama\n",
        )
        .unwrap();
        assert!(pins.names("langchain-milvus") && pins.names("pymilvus"));
        assert!(!pins.names("llama") && !pins.names("other.txt"));
    }

    #[test]
    fn broken_files_are_errors() {
        for (file, text) in [
            ("pom.xml", "<project><dependency>"),
            ("package-lock.json", "not JSON"),
            ("uv.lock", "[[package"),
            ("libs.versions.toml", "[versions"),
        ] {
            let failure = pins(Path::new(file), text).unwrap_err();
            let beginning = format!("can't read `{file}`: ");
            assert!(failure.message.starts_with(&beginning), "{failure:?}");
        }
    }
}
