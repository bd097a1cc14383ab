//! Faults that a witness plays on the calls to Milvus: the built-in ones and those of a file.

use std::path::Path;

use grpc_witness::{Fault, FaultCount, Plan, PlanError};
use supervise::{Failure, IoContext, Result};
use trace_parity::Contract;

const BUILTIN: &str = include_str!("faults.toml");

/// The built-in faults; steps stand for the methods that the contract gives them.
pub fn builtin(contract: &Contract) -> Result<Vec<Fault>> {
    let plan =
        read(BUILTIN, contract).map_err(|error| not_a_plan("the built-in faults", &error))?;
    Ok(plan.faults)
}

/// The plan of all `arguments` together. Each is a built-in fault's name or a plan's file; `None` if there are none.
pub fn plan(arguments: &[String], contract: &Contract) -> Result<Option<Plan>> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let mut plan = Plan::default();
    let known = builtin(contract)?;
    for argument in arguments {
        if let Some(fault) = known.iter().find(|fault| fault.name == *argument) {
            plan.faults.push(fault.clone());
            continue;
        }
        let path = Path::new(argument);
        if !path.exists() && !argument.contains(['/', '.']) {
            let names: Vec<&str> = known.iter().map(|fault| fault.name.as_str()).collect();
            return Err(
                Failure::new(format!("there is no fault `{argument}`")).hint(format!(
                    "name a plan's file, or one of {}",
                    names.join(", ")
                )),
            );
        }
        let text = std::fs::read_to_string(path).at("read", path)?;
        let file =
            read(&text, contract).map_err(|error| not_a_plan(&format!("`{argument}`"), &error))?;
        plan.faults.extend(file.faults);
        plan.link_delay += file.link_delay;
    }
    let mut names: Vec<&str> = plan
        .faults
        .iter()
        .map(|fault| fault.name.as_str())
        .collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(
            Failure::new(format!("the fault `{}` is given twice", twice[0]))
                .hint("records tell faults by their names: rename one"),
        );
    }
    Ok(Some(plan))
}

fn read(text: &str, contract: &Contract) -> std::result::Result<Plan, PlanError> {
    Plan::parse(text, |step| {
        let methods = contract.methods(step).map(<[String]>::to_vec);
        methods.ok_or_else(|| {
            let steps: Vec<&str> = contract.steps().collect();
            format!(
                "there is no step `{step}`, expected one of {}",
                steps.join(", ")
            )
        })
    })
}

fn not_a_plan(what: &str, error: &PlanError) -> Failure {
    Failure::new(format!("{what} is not a plan of faults: {error}")).hint(
        "a fault looks like `[[fault]]`, `name = \"once\"`, `step = \"search\"`, `action = { answer = \"UNAVAILABLE\" }`, each on a line; \
         crates/grpc-witness/README.md lists the actions",
    )
}

/// What was played, as a sentence for each fault.
pub fn notes(counts: &[FaultCount]) -> impl Iterator<Item = String> {
    counts.iter().map(|count| {
        let of = count.client.as_ref();
        let of = of.map_or_else(String::new, |client| format!(" of `{client}`"));
        let calls = if count.played == 1 { "call" } else { "calls" };
        format!(
            "the fault `{}` was played on {} {calls}{of}",
            count.name, count.played
        )
    })
}

/// Fails if a fault was never played, because a run without it proves nothing about it.
pub fn check_played(counts: &[FaultCount]) -> Result<()> {
    let idle: Vec<String> = counts
        .iter()
        .filter(|count| count.played == 0)
        .map(|count| {
            let of = count.client.as_ref();
            let of = of.map_or_else(String::new, |client| format!(" on `{client}`"));
            format!(
                "`{}`{of} ({} calls of its methods)",
                count.name, count.calls
            )
        })
        .collect();
    if idle.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("never played: {}", idle.join(", "))).hint(
        "`wire.jsonl` in the run's folder lists the calls; a fault's `nth` counts the calls of its methods",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_files_make_one_plan() {
        let contract = Contract::builtin();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("own.toml");
        std::fs::write(&file, "[[fault]]\nname = \"own\"\nmethod = \"Query\"\naction = \"cut\"\n[link]\ndelay = \"5ms\"\n").expect("written");
        let arguments = ["restart".to_owned(), file.display().to_string()];
        let both = plan(&arguments, &contract)
            .expect("a plan")
            .expect("faults");
        let names: Vec<&str> = both
            .faults
            .iter()
            .map(|fault| fault.name.as_str())
            .collect();
        assert_eq!(names, ["restart", "own"]);
        assert_eq!(both.faults[0].methods, ["Search"]);
        assert_eq!(both.link_delay.as_millis(), 5);
        assert_eq!(plan(&[], &contract).expect("no plan"), None);
    }

    #[test]
    fn an_error_says_where_it_is_and_what_to_do() {
        let contract = Contract::builtin();
        let check = |arguments: &[&str], message: &str, hint: &str| {
            let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
            let failure = plan(&arguments, &contract).expect_err("no plan");
            assert!(failure.message.contains(message), "{failure:?}");
            let hints = format!("{failure:?}");
            assert!(hints.contains(hint), "{hints}");
        };
        check(
            &["restarts"],
            "there is no fault `restarts`",
            "unavailable-once",
        );
        check(
            &["restart", "restart"],
            "the fault `restart` is given twice",
            "rename one",
        );
        check(&["./none.toml"], "./none.toml", "");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("own.toml");
        std::fs::write(
            &file,
            "[[fault]]\nname = \"own\"\nstep = \"nap\"\naction = \"cut\"",
        )
        .expect("written");
        let file = file.display().to_string();
        check(
            &[&file],
            "line 1: there is no step `nap`, expected one of connect",
            "[[fault]]",
        );
    }

    #[test]
    fn a_fault_that_was_never_played_fails_the_run() {
        let count = |name: &str, client: Option<&str>, calls, played| FaultCount {
            name: name.to_owned(),
            client: client.map(str::to_owned),
            calls,
            played,
        };
        let counts = [
            count("restart", Some("py"), 1, 1),
            count("restart", Some("go"), 0, 0),
            count("own", None, 3, 0),
        ];
        assert_eq!(
            notes(&counts[..2]).collect::<Vec<_>>(),
            [
                "the fault `restart` was played on 1 call of `py`",
                "the fault `restart` was played on 0 calls of `go`"
            ]
        );
        let failure = check_played(&counts).expect_err("idle faults");
        assert_eq!(
            failure.message,
            "never played: `restart` on `go` (0 calls of its methods), `own` (3 calls of its methods)"
        );
        check_played(&counts[..1]).expect("played");
    }
}
