//! The table of operations, where there is no contract.

use serde_json::json;
use trace_parity::{Input, Verdict, judge, read};

use crate::programs::{case, changed, compare, exec};

/// Each row as `name: calls/joined, spans-without_calls names [conventions]`, a column a line.
fn rows(verdict: &Verdict) -> Vec<String> {
    let cells = |row: &trace_parity::OperationRow| {
        let cells = row.cells.iter().map(|cell| match cell {
            None => "-".to_owned(),
            Some(cell) => format!(
                "{}/{} {}-{} {}",
                cell.joined,
                cell.calls,
                cell.spans,
                cell.without_calls,
                [cell.names.join(","), cell.forms.join(",")].join(" by ")
            ),
        });
        format!("{}: {}", row.name, cells.collect::<Vec<_>>().join(" | "))
    };
    verdict.operations.iter().map(cells).collect()
}

/// The base capture with a span above each call of `method`, which tells of the operation by `attributes`.
fn told(method: &'static str, name: &'static str, attributes: &[(&str, &str)]) -> Vec<u8> {
    changed(|parts| {
        let call = parts.iter_mut().find(|part| part.is_call(method));
        let call = call.expect("the call");
        let mut above = call.above("00000000000000aa", "milvus-client", "framework", name, 1);
        for (key, value) in attributes {
            above.attribute(key, json!({"stringValue": value}));
        }
        call.set("parentSpanId", json!("00000000000000aa"));
        parts.push(above);
    })
}

#[test]
fn calls_without_a_framework_are_told_by_their_methods() {
    let verdict = exec(&case("base.jsonl"));
    assert_eq!(
        rows(&verdict),
        [
            "create: 2/2 0-0  by ",
            "load: 1/1 0-0  by ",
            "insert: 1/1 0-0  by ",
            "search: 1/1 0-0  by ",
            "drop: 1/1 0-0  by ",
            "other calls: 3/3 0-0  by ",
        ]
    );
}

#[test]
fn a_frameworks_words_name_the_operation() {
    let check = |method, name, attributes: &[(&str, &str)], expected: &str| {
        let verdict = exec(&told(method, name, attributes));
        let found = rows(&verdict);
        assert!(found.iter().any(|row| row == expected), "{found:#?}");
    };
    check(
        "Search",
        "search docs",
        &[
            ("db.system.name", "milvus"),
            ("db.operation.name", "search"),
        ],
        "search: 1/1 1-0 search docs by database conventions",
    );
    check(
        "Search",
        "milvus.search",
        &[("db.system", "milvus")],
        "search: 1/1 1-0 milvus.search by database conventions before 1.30",
    );
    check(
        "Search",
        "milvus query",
        &[
            ("spring.ai.kind", "vector_store"),
            ("db.system", "milvus"),
            ("db.operation.name", "query"),
        ],
        "search: 1/1 1-0 milvus query by Spring AI",
    );
    check(
        "Search",
        "VectorStoreRetriever",
        &[("openinference.span.kind", "RETRIEVER")],
        "search: 1/1 1-0 VectorStoreRetriever by OpenInference",
    );
    check(
        "Insert",
        "haystack.component.run",
        &[("haystack.component.type", "DocumentWriter")],
        "insert: 1/1 1-0 haystack.component.run by Haystack",
    );
    // A span of a kind that is no operation leaves the call to its method.
    check(
        "Search",
        "RunnableSequence",
        &[("openinference.span.kind", "CHAIN")],
        "search: 1/1 0-0  by ",
    );
}

#[test]
fn every_call_below_a_frameworks_span_is_of_its_operation() {
    let capture = changed(|parts| {
        let search = parts.iter_mut().find(|part| part.is_call("Search"));
        let search = search.expect("the call");
        let id = "00000000000000aa";
        let mut above = search.above(id, "milvus-client", "framework", "milvus.search", 1);
        above.attribute("db.system", json!({"stringValue": "milvus"}));
        search.set("parentSpanId", json!(id));
        let other = parts.iter_mut().find(|part| part.is_call("Insert"));
        other.expect("the call").set("parentSpanId", json!(id));
        parts.push(above);
    });
    let found = rows(&exec(&capture));
    let expected = "search: 2/2 1-0 milvus.search by database conventions before 1.30";
    assert!(found.iter().any(|row| row == expected), "{found:#?}");
    assert!(
        !found.iter().any(|row| row.starts_with("insert")),
        "{found:#?}"
    );
}

/// OpenInference's spans of a real LangChain program aren't current while the calls are made.
#[test]
fn a_frameworks_span_without_a_call_is_told() {
    let found = rows(&exec(&case("py-openinference.jsonl.gz")));
    let expected = "search: 0/1 1-1 Mine by OpenInference";
    assert!(found.iter().any(|row| row == expected), "{found:#?}");
}

#[test]
fn frameworks_stand_side_by_side() {
    let one = told("Search", "milvus.search", &[("db.system", "milvus")]);
    let other = case("base.jsonl");
    let inputs = [("one", &one), ("other", &other)].map(|(label, bytes)| Input {
        label: Some(label),
        bytes,
    });
    let (traces, problems) = read(&inputs);
    let found = rows(&judge(&traces, &problems, None, None));
    let expected =
        "search: 1/1 1-0 milvus.search by database conventions before 1.30 | 1/1 0-0  by ";
    assert!(found.iter().any(|row| row == expected), "{found:#?}");
}

#[test]
fn a_contract_tells_steps_instead() {
    assert!(compare(&case("base.jsonl")).operations.is_empty());
}
