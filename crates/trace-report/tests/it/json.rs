//! `report.json` against its schema.

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::Value;
use trace_report::{Run, json};

use crate::build;

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(trace_report::SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::validator_for(&schema).unwrap()
}

fn problems(run: &Run) -> Vec<String> {
    let report: Value = serde_json::from_str(&json(run)).unwrap();
    validator()
        .iter_errors(&report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_kind_of_run_satisfies_the_schema() {
    let runs = [
        build::consistent(),
        build::with_signals(),
        build::with_operations(),
        build::context_lost(),
        build::example_failed(),
        build::could_not_run(),
        build::hostile("\u{0}\"\\</script>"),
    ];
    for run in runs {
        assert_eq!(problems(&run), Vec::<String>::new());
    }
}

#[test]
fn the_schema_rejects_what_is_not_a_report() {
    let good: Value = serde_json::from_str(&json(&build::context_lost())).unwrap();
    let edits: [(&str, Value); 6] = [
        ("/schema", "milvus-otel.report/2".into()),
        ("/verdict", "ok".into()),
        ("/findings/0/rule", "no-such-rule".into()),
        ("/findings/0/trace_id", "4BF9".into()),
        ("/steps/0/cells/py/count", (-1).into()),
        ("/examples/0/outcome", Value::Null),
    ];
    for (pointer, value) in edits {
        let mut report = good.clone();
        *report.pointer_mut(pointer).unwrap() = value;
        assert!(!validator().is_valid(&report), "{pointer}");
    }
}

#[test]
fn a_failing_report() {
    assert_snapshot!(json(&build::context_lost()));
}

#[test]
fn a_time_that_is_not_a_number_is_left_out_of_the_sum() {
    let mut run = build::consistent();
    run.wall_seconds = Some(f64::NAN);
    assert_eq!(problems(&run), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_round_trips(text in any::<String>()) {
        let run = build::hostile(&text);
        prop_assert_eq!(problems(&run), Vec::<String>::new());
        let report: Value = serde_json::from_str(&json(&run)).unwrap();
        prop_assert_eq!(report["findings"][1]["message"].as_str(), Some(text.as_str()));
        prop_assert_eq!(report["examples"][0]["name"].as_str(), Some(text.as_str()));
    }
}
