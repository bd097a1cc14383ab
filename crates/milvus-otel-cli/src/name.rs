//! The name of a program of the user's, made of its command.

/// A program that runs the program named after it.
struct Wrapper {
    name: &'static str,
    /// Words that may come between.
    between: &'static [&'static str],
    /// Its options take the next word.
    takes_words: bool,
}

const fn wrapper(name: &'static str, between: &'static [&'static str]) -> Wrapper {
    Wrapper {
        name,
        between,
        takes_words: false,
    }
}

const fn with_words(name: &'static str) -> Wrapper {
    Wrapper {
        name,
        between: &[],
        takes_words: true,
    }
}

const WRAPPERS: [Wrapper; 12] = [
    with_words("opentelemetry-instrument"),
    with_words("env"),
    with_words("nice"),
    wrapper("ddtrace-run", &[]),
    wrapper("time", &[]),
    wrapper("npx", &[]),
    wrapper("uvx", &[]),
    wrapper("uv", &["run"]),
    wrapper("poetry", &["run"]),
    wrapper("pipenv", &["run"]),
    wrapper("pdm", &["run"]),
    wrapper("npm", &["exec", "run"]),
];

/// Programs that run a script, by how their names begin.
const INTERPRETERS: [&str; 9] = [
    "python", "pypy", "node", "deno", "bun", "tsx", "ruby", "java", "go",
];

const SHELLS: [&str; 5] = ["bash", "sh", "dash", "zsh", "ksh"];

/// Words that begin a shell's command and aren't programs.
const BUILTINS: [&str; 8] = [
    "cd", "echo", "eval", "exec", "exit", "export", "set", "source",
];

/// The name where nothing gives one.
const UNNAMED: &str = "program";

const LONGEST: usize = 40;

/// The name of the script, module or file that a command runs: `search` for `opentelemetry-instrument python3 app/search.py`.
pub(crate) fn name_of(command: &[String]) -> String {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    named(&words).unwrap_or_else(|| UNNAMED.to_owned())
}

/// A name that the user gives: it becomes an attribute's value and a file's name.
pub(crate) fn program_name(text: &str) -> Result<String, String> {
    match fit(text) {
        Some(name) if name == text => Ok(name),
        _ => Err(format!(
            "expected up to {LONGEST} letters, digits, `.`, `-` or `_`"
        )),
    }
}

fn named(words: &[&str]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let base = base(first);
    if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.name == base) {
        return named(wrapped(wrapper, rest));
    }
    if SHELLS.contains(&base) {
        return of_shell(rest);
    }
    if INTERPRETERS.iter().any(|name| base.starts_with(name)) {
        return of_interpreter(rest).or_else(|| fit(base));
    }
    fit(base)
}

/// The words of the program that a wrapper runs.
fn wrapped<'w>(wrapper: &Wrapper, mut words: &'w [&'w str]) -> &'w [&'w str] {
    while let Some((word, rest)) = words.split_first() {
        let has_value = word.contains('=');
        let is_option = word.starts_with('-');
        if !is_option && !has_value && !wrapper.between.contains(word) {
            break;
        }
        let takes_next = wrapper.takes_words && is_option && !has_value && !rest.is_empty();
        words = &rest[usize::from(takes_next)..];
    }
    words
}

fn of_shell(arguments: &[&str]) -> Option<String> {
    let is_text = |word: &&str| word.starts_with('-') && word.ends_with('c');
    if let Some(at) = arguments.iter().position(is_text) {
        let first = arguments
            .get(at + 1)?
            .split(['\n', ';', '|', '&', '"', '\'', '$', '<', '>']);
        let words: Vec<&str> = first.into_iter().next()?.split_whitespace().collect();
        let is_builtin = words.first().is_some_and(|word| BUILTINS.contains(word));
        return if is_builtin { None } else { named(&words) };
    }
    let script = arguments.iter().find(|word| !word.starts_with('-'))?;
    fit(stem(script))
}

/// The module after `-m`, the archive after `-jar`, or the first word that is no option.
fn of_interpreter(arguments: &[&str]) -> Option<String> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "-m" => return fit(words.next()?),
            "-jar" => return fit(stem(words.next()?)),
            // The program itself is the next word, and has no name.
            "-c" | "-e" | "--eval" => return None,
            // Each takes a word.
            "-r" | "--require" | "--import" | "-cp" | "-classpath" | "-W" | "-X" => {
                words.next();
            }
            "run" => {}
            option if option.starts_with('-') => {}
            script => return fit(stem(script)),
        }
    }
    None
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn stem(path: &str) -> &str {
    let base = base(path);
    match base.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => base,
    }
}

fn fit(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = text
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .take(LONGEST)
        .collect();
    let says_something = name.contains(|c: char| c.is_ascii_alphanumeric());
    says_something.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_after_its_script() {
        let check = |line: &str, expected: &str| {
            let command: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(name_of(&command), expected, "{line}");
        };
        check("./server --once", "server");
        check("python3 app/search.py --limit 3", "search");
        check(
            "/venv/bin/opentelemetry-instrument /venv/bin/python app.py",
            "app",
        );
        check(
            "opentelemetry-instrument --traces_exporter otlp uvicorn app:app",
            "uvicorn",
        );
        check("python3.11 -W ignore -m my_app.search", "my_app.search");
        check("env A=1 -u B node --require ./otel.js server.mjs", "server");
        check("uv run --frozen python main.py", "main");
        check("node --import ./otel.mjs dist/index.js", "index");
        check(
            "java -javaagent:otel.jar -jar target/shop-1.2.jar",
            "shop-1.2",
        );
        check("go run ./cmd/search", "search");
        check("python3", "python3");
        check("bash run-it.sh", "run-it");
    }

    #[test]
    fn a_shell_is_no_name() {
        let check = |text: &str, expected: &str| {
            let command = ["bash", "-c", text].map(str::to_owned);
            assert_eq!(name_of(&command), expected, "{text}");
        };
        check("opentelemetry-instrument python app.py && true", "app");
        check("cd \"$HERE\" && eval \"$RUN\"", "program");
        check("env | sort", "program");
        check("\"$RUN\"", "program");
    }

    #[test]
    fn a_given_name_is_taken_as_it_is_or_refused() {
        assert_eq!(program_name("search-2.0").as_deref(), Ok("search-2.0"));
        for name in ["", "..", "a b", "a/b", &"x".repeat(41)] {
            assert!(program_name(name).is_err(), "{name}");
        }
    }
}
