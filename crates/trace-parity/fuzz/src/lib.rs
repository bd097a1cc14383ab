//! What has to hold for any input. The fuzzers try to break it, and a test holds the kept corpus against it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use trace_parity::{
    Contract, Input, Settlement, Traces, Verdict, against_baseline, baseline, diff, judge, read,
    timing,
};

/// A target's name, which is also its corpus's, and what it does.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 9] = [
    ("otlp_json", otlp_json),
    ("otlp_proto", otlp_proto),
    ("jaeger_v3", jaeger_v3),
    ("jaeger_json", jaeger_json),
    ("compressed", compressed),
    ("any", everything),
    ("spans", spans),
    ("contract", contract),
    ("baseline", against),
];

/// Lines that begin as JSON does.
pub fn otlp_json(data: &[u8]) {
    judged(&[b"{", data].concat(), Some(&CONTRACT));
}

/// One message, behind its length.
pub fn otlp_proto(data: &[u8]) {
    judged(
        &[&(data.len() as u32).to_be_bytes()[..], data].concat(),
        Some(&CONTRACT),
    );
}

/// What stands in the `resourceSpans` of Jaeger's query API v3.
pub fn jaeger_v3(data: &[u8]) {
    judged(
        &[b"{\"result\":{\"resourceSpans\":[", data].concat(),
        Some(&CONTRACT),
    );
}

/// What stands in Jaeger's `data`.
pub fn jaeger_json(data: &[u8]) {
    judged(&[b"{\"data\":[", data].concat(), Some(&CONTRACT));
}

/// A gzip or zstd stream; the first byte says which.
pub fn compressed(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let magic: &[u8] = if first % 2 == 0 {
        &[0x1f, 0x8b, 8]
    } else {
        &[0x28, 0xb5, 0x2f, 0xfd]
    };
    judged(&[magic, data].concat(), Some(&CONTRACT));
}

/// A contract is read or refused, and a refusal names a line that is there.
pub fn contract(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(error) = Contract::parse(&text) {
        let lines = 1 + text.matches('\n').count();
        assert!((1..=lines).contains(&error.line), "{error}");
    }
}

/// Two texts that a zero byte parts: equal ones don't differ, and what differs is in one of them.
pub fn against(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (before, after) = text.split_once('\0').unwrap_or((&text, ""));
    assert_eq!(against_baseline(before, before), None);
    let Some(changes) = against_baseline(before, after) else {
        assert!(before.lines().eq(after.lines()));
        return;
    };
    for change in changes.lines() {
        // A line may end in a carriage return of its own.
        let stands_in = |text: &str, line: &str| {
            text.lines()
                .any(|known| known.strip_suffix('\r').unwrap_or(known) == line)
        };
        let known = match change.split_at_checked(2) {
            Some(("- ", line)) => stands_in(before, line),
            Some(("+ ", line)) => stands_in(after, line),
            _ => change.starts_with("  ["),
        };
        assert!(known, "{change:?}");
    }
}

/// Every six bytes are a span of a few traces, names and times: the shapes that texts hardly ever take.
pub fn spans(data: &[u8]) {
    const NAMES: [&str; 8] = [
        "test_milvus_otel",
        "milvus.proto.milvus.MilvusService/CreateCollection",
        "/milvus.proto.milvus.MilvusService/GetLoadState",
        "milvus.proto.milvus.MilvusService/Insert",
        "grpc.milvus.proto.milvus.MilvusService/Search",
        "milvus.proto.milvus.MilvusService/DropCollection",
        "Proxy-Search",
        "other.Service/Method",
    ];
    const SERVICES: [&str; 4] = ["milvus-client", "standalone", "segcore", "other"];
    let mut text = String::new();
    for span in data.chunks_exact(6) {
        let [ids, parent, name, kind, start, length] =
            std::array::from_fn(|index| usize::from(span[index]));
        let _ = writeln!(
            text,
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{:016x}","parentSpanId":"{:016x}","name":"{}","kind":{},"status":{{"code":{}}},"startTimeUnixNano":{},"endTimeUnixNano":{}}}]}}]}}]}}"#,
            SERVICES[name >> 3 & 3],
            1 + ids % 4,
            1 + ids / 4,
            parent % 65,
            NAMES[name & 7],
            kind % 6,
            kind / 6 % 3,
            10 * start,
            10 * start + length,
        );
    }
    everything(text.as_bytes());
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::builtin);

/// A capture is read and judged.
fn judged(bytes: &[u8], contract: Option<&Contract>) -> (Traces, Verdict) {
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    let verdict = judge(&traces, &problems, contract, None);
    for finding in &verdict.findings {
        assert!(
            finding.count > 0 && finding.input_line != Some(0),
            "{finding:?}"
        );
    }
    (traces, verdict)
}

/// All that is ever done with a capture.
pub fn everything(bytes: &[u8]) {
    let (traces, verdict) = judged(bytes, Some(&CONTRACT));
    assert_eq!(
        verdict,
        judged(bytes, Some(&CONTRACT)).1,
        "same input, same output"
    );
    let _ = timing(&verdict);
    judged(bytes, None);
    let seen: usize = traces.iter().map(|trace| trace.tree().len()).sum();
    assert_eq!(seen, traces.span_count());
    let text = baseline(&traces, &CONTRACT, None);
    assert_eq!(against_baseline(&text, &text), None);
    assert_eq!(diff(&traces, &traces, &CONTRACT), []);
    let mut settlement = Settlement::new(CONTRACT.clone(), None, &["py"]);
    bytes
        .split(|&byte| byte == b'\n')
        .for_each(|line| settlement.feed(line));
}
