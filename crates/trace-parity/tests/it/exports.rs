//! Exports that the capture stored, refused or delayed, and the findings about them.

use trace_parity::{
    Delivery, ExampleFacts, Exit, Finding, RefusedFacts, RunFacts, SenderFacts, Verdict,
};

use crate::support::{capture, judged};

/// The verdict on the real capture; `silent` is an additional example that left no trace.
fn verdict(silent: Option<&str>, delivery: Option<Delivery>) -> Verdict {
    let names = ["py", "go", "node", "java", "rust"];
    let facts = RunFacts {
        run: Some(run_of_capture()),
        examples: names
            .into_iter()
            .chain(silent)
            .map(|name| ExampleFacts {
                name: name.to_owned(),
                exit: Exit::Code(0),
                trace_id: None,
            })
            .collect(),
        delivery,
        ..RunFacts::default()
    };
    judged(&capture("five-languages.jsonl"), Some(&facts))
}

fn run_of_capture() -> String {
    let text = String::from_utf8(capture("five-languages.jsonl")).expect("text");
    let (_, rest) = text.split_once("\"milvus_otel.run\"").expect("a run");
    let (_, rest) = rest.split_once("\"stringValue\":\"").expect("a value");
    rest.split_once('"').expect("its end").0.to_owned()
}

fn sender(instance: &str) -> SenderFacts {
    SenderFacts {
        name: format!("`{instance}`"),
        run: Some(run_of_capture()),
        instance: Some(instance.to_owned()),
        requests: 5,
        ..SenderFacts::default()
    }
}

fn refused() -> Vec<RefusedFacts> {
    vec![RefusedFacts {
        requests: 3,
        reason: "no decompressor for `br`".to_owned(),
        user_agent: Some("exporter/1.2".to_owned()),
        advice: "set another".to_owned(),
    }]
}

/// The findings of the family, as text.
fn findings(verdict: &Verdict) -> Vec<String> {
    let exports = [
        "export-refused",
        "dropped-spans",
        "export-retried",
        "delivery-unknown",
        "no-spans",
    ];
    let of_exports = |finding: &&Finding| exports.contains(&finding.rule.name());
    let told = verdict.findings.iter().filter(of_exports);
    told.map(|finding| {
        format!(
            "{:?} {} {}: {} / {}",
            finding.severity,
            finding.rule,
            finding.example.as_deref().unwrap_or("-"),
            finding.message,
            finding.hint.as_deref().unwrap_or("-")
        )
    })
    .collect()
}

#[test]
fn the_captures_refusals_and_losses_are_reported() {
    let check = |silent: Option<&str>, senders: Vec<SenderFacts>, expected: &[&str]| {
        let delivery = Delivery {
            senders,
            ..Delivery::default()
        };
        let verdict = verdict(silent, Some(delivery));
        assert_eq!(findings(&verdict), expected);
    };
    let of = |name: &str, change: fn(&mut SenderFacts)| {
        let mut sender = sender(name);
        change(&mut sender);
        sender
    };
    let unnamed = |refused| SenderFacts {
        name: "an unnamed sender at 127.0.0.1".to_owned(),
        requests: 3,
        refused,
        ..SenderFacts::default()
    };

    check(None, vec![sender("py"), sender("go")], &[]);
    check(
        None,
        vec![of("py", |sender| sender.refused = refused())],
        &[
            "Error export-refused py: 3 requests of `py` were refused for good (sent by `exporter/1.2`): no decompressor for `br` / set another",
        ],
    );
    check(
        None,
        vec![unnamed(refused())],
        &[
            "Error export-refused -: 3 requests of an unnamed sender at 127.0.0.1 were refused for good (sent by `exporter/1.2`): no \
           decompressor for `br` / set another",
        ],
    );
    // A sender of another run, in the same capture.
    check(
        None,
        vec![of("py", |sender| {
            sender.run = Some("other".to_owned());
            sender.refused = refused();
        })],
        &[],
    );
    check(
        None,
        vec![of("go", |sender| {
            sender.asked_again = 3;
            sender.missing = 1;
        })],
        &[
            "Error dropped-spans go: 1 request of `go` was told to come again and did not: the capture's queue was full / run again on a \
             quieter machine, or with fewer examples at a time (`--jobs 1`); a program must live until its exporter has tried again",
            "Info export-retried go: 2 requests of `go` were told to come again, and came / -",
        ],
    );
    check(
        None,
        vec![of("go", |sender| sender.unforwarded_records = 1)],
        &[
            "Info dropped-spans go: 1 record of `go` could not be sent on, and is in the capture's files: it took too long / -",
        ],
    );
}

#[test]
fn no_spans_quotes_refused_requests_before_it_guesses() {
    let check = |delivery: Option<Delivery>, message: &str, hint: &str| {
        let verdict = verdict(Some("php"), delivery);
        let found: Vec<_> = findings(&verdict)
            .into_iter()
            .filter(|finding| !finding.contains("delivery-unknown"))
            .collect();
        let message = format!("`php` ran to its end and not one of its spans arrived{message}");
        assert_eq!(found.len(), 1, "{found:?}");
        let beginning = format!("Error no-spans php: {message} / ");
        let told = found[0].strip_prefix(&beginning).expect(&beginning);
        assert!(told.contains(hint), "{told}");
    };
    let of = |senders: Vec<SenderFacts>| {
        Some(Delivery {
            senders,
            ..Delivery::default()
        })
    };
    check(None, "", "a guess: the exporter has an endpoint of its own");
    check(
        of(vec![]),
        ", nor any other request of its exporter's",
        "a guess: the exporter has an endpoint of its own",
    );
    // Its requests arrived, so its endpoint is right.
    check(
        of(vec![sender("php")]),
        ": 5 requests came from it, without a span in them",
        "a guess: the program ends before its batch processor has sent anything",
    );
    let refused_of = |name: &str| SenderFacts {
        refused: refused(),
        ..sender(name)
    };
    check(
        of(vec![refused_of("php")]),
        "; 3 requests of `php` were refused for good (sent by `exporter/1.2`): no decompressor for `br`",
        "set another",
    );
    let unnamed = SenderFacts {
        name: "an unnamed sender at 127.0.0.1".to_owned(),
        refused: refused(),
        ..SenderFacts::default()
    };
    check(
        of(vec![unnamed]),
        "; 3 requests of an unnamed sender at 127.0.0.1 were refused for good (sent by `exporter/1.2`): no decompressor for `br`",
        "set another",
    );
}

#[test]
fn without_a_capture_delivery_is_unknown() {
    let found = findings(&verdict(None, None));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("Info delivery-unknown -: "),
        "{found:?}"
    );
    assert!(found[0].contains("is unknown"), "{found:?}");
}

#[test]
fn what_is_missing_may_be_late_where_the_spans_did_not_settle() {
    let facts = |unsettled, read_back: Option<&str>| RunFacts {
        run: Some("another".to_owned()),
        examples: vec![ExampleFacts {
            name: "py".to_owned(),
            exit: Exit::Code(0),
            trace_id: None,
        }],
        delivery: Some(Delivery::default()),
        unsettled,
        read_back: read_back.map(str::to_owned),
        ..RunFacts::default()
    };
    let told = |facts: &RunFacts| -> Vec<String> {
        let verdict = judged(&capture("five-languages.jsonl"), Some(facts));
        let findings = verdict.findings.into_iter();
        findings
            .map(|finding| format!("{} {}", finding.rule, finding.message))
            .collect()
    };
    let late = "the wait for the last spans ended at its limit, so they may only be late";
    let settled = told(&facts(false, None));
    assert_eq!(settled.len(), 1, "{settled:?}");
    assert!(!settled[0].contains(late), "{settled:?}");
    let unsettled = told(&facts(true, None));
    assert_eq!(unsettled, [format!("{}; {late}", settled[0])]);
    let differs = told(&facts(true, Some("found there alone: `no-root`")));
    let of_store = "read-back-differs the traces that were read back from the store don't come to the same verdict as the capture: found there \
                    alone: `no-root`";
    assert!(differs.contains(&of_store.to_owned()), "{differs:?}");
}
