//! What is read of metrics, logs and pages, and what a line costs that can't be.

use otlp_signals::{Kind, Reader, Signals, Temporality};

fn read(metrics: &str, logs: &str, server_log: &str) -> Signals {
    let mut reader = Reader::default();
    reader.metrics("metrics.jsonl", metrics.as_bytes()).unwrap();
    reader.logs("logs.jsonl", logs.as_bytes()).unwrap();
    reader
        .server_log("milvus.log", server_log.as_bytes())
        .unwrap();
    reader.finish()
}

/// A request with one histogram of one point.
fn histogram(temporality: u8, start: u64, time: u64, count: u64) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"s"}}}}]}},"scopeMetrics":[{{"scope":{{"name":"n","version":"1"}},"metrics":[{{"name":"rpc.client.duration","unit":"ms","histogram":{{"aggregationTemporality":{temporality},"dataPoints":[{{"startTimeUnixNano":"{start}","timeUnixNano":{time},"count":"{count}","sum":1.5,"explicitBounds":[0,5],"bucketCounts":["0","{count}",0],"attributes":[{{"key":"rpc.method","value":{{"stringValue":"Search"}}}}],"exemplars":[{{"timeUnixNano":"7","asDouble":1.5,"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331"}}]}}]}}}}]}}]}}]}}
"#
    )
}

#[test]
fn points_of_one_instrument_are_put_together() {
    let text = histogram(2, 1, 10, 2) + &histogram(2, 1, 20, 5);
    let signals = read(&text, "", "");
    assert_eq!(signals.problems, []);
    let [metric] = &signals.metrics[..] else {
        panic!("{:?}", signals.metrics)
    };
    assert_eq!(
        (&*metric.name, &*metric.unit),
        ("rpc.client.duration", "ms")
    );
    assert_eq!(metric.kind, Kind::Histogram);
    assert_eq!(metric.temporality, Temporality::Cumulative);
    assert_eq!(metric.resource.attributes.get("service.name"), Some("s"));
    let [series] = &metric.series[..] else {
        panic!("{:?}", metric.series)
    };
    assert_eq!(series.attributes.get("rpc.method"), Some("Search"));
    assert_eq!(series.points.len(), 2);
    assert_eq!(*series.points[1].bounds, [0.0, 5.0]);
    assert_eq!(*series.points[1].buckets, [0, 5, 0]);
    assert_eq!(series.points[1].exemplars[0].span_id[0], 0xb7);
}

#[test]
fn totals_follow_the_temporality() {
    let check = |temporality: u8, points: &[(u64, u64, u64)], expected: f64| {
        let text: String = points
            .iter()
            .map(|&(start, time, count)| histogram(temporality, start, time, count))
            .collect();
        let signals = read(&text, "", "");
        assert_eq!(
            signals.metrics[0].count(),
            expected,
            "{temporality} {points:?}"
        );
    };
    check(1, &[(1, 10, 2), (10, 20, 3)], 5.0);
    check(2, &[(1, 10, 2), (1, 20, 3)], 3.0);
    // A process that began again.
    check(2, &[(1, 10, 2), (1, 20, 3), (25, 30, 4)], 7.0);
    // Two processes in turn.
    check(2, &[(1, 10, 2), (5, 11, 3), (1, 20, 4), (5, 21, 6)], 10.0);
}

#[test]
fn records_have_a_time_a_level_and_the_ids_of_their_span() {
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"scope":{"name":"app"},"logRecords":[
        {"timeUnixNano":"5","observedTimeUnixNano":"6","severityNumber":9,"severityText":"INFO","body":{"stringValue":"hello"},"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","flags":1},
        {"observedTimeUnixNano":"6","severityNumber":17,"body":{"kvlistValue":{"values":[]}},"traceId":"","attributes":null},
        {}]}]}]}"#.replace('\n', "");
    let signals = read("", &logs, "");
    assert_eq!(signals.problems, []);
    let told: Vec<_> = signals
        .logs
        .iter()
        .map(|log| {
            (
                log.time,
                log.level(),
                log.body.as_str(),
                log.is_correlated(),
            )
        })
        .collect();
    let expected = [
        (5, "INFO", "hello", true),
        (6, "ERROR", r#"{"values":[]}"#, false),
        (0, "", "", false),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_bad_line_costs_itself() {
    let good = histogram(2, 1, 10, 2);
    let bad = good.replace("0af7651916cd43dd8448eb211c80319c", "0af7");
    let text = format!("{good}{bad}\n{{\"resourceMetrics\":[{{\n{good}");
    let signals = read(&text, r#"{"resourceLogs":3}"#, "");
    let told: Vec<_> = signals
        .problems
        .iter()
        .map(|problem| (problem.file.as_str(), problem.line))
        .collect();
    assert_eq!(
        told,
        [
            ("metrics.jsonl", 2),
            ("metrics.jsonl", 4),
            ("logs.jsonl", 1)
        ]
    );
    assert!(
        signals.problems[0]
            .message
            .contains("32 hexadecimal digits")
    );
    assert_eq!(signals.metrics[0].series[0].points.len(), 2);
}

#[test]
fn lines_of_milvus_are_read_where_they_name_a_trace() {
    let log = concat!(
        r#"[2026/11/28 02:53:47.293 +00:00] [INFO] [rootcoord/root_coord.go:953] ["received request"] [traceID=0cf7335805038bde3ff2bdfda456e905] [msgID=0] ["num of ] databases"=1]"#,
        "\n",
        r#"[2026/11/28 02:53:47.294 +00:00] [ERROR] [a.go:1] [plain] [traceID=0cf7335805038bde3ff2bdfda456e905] [ids="[1 2]"] [list=[1 2]] [stack="a\nb"]"#,
        "\n",
        "[2026/11/28 02:53:45.078 +00:00] [INFO] [server.go:329] [recovered] [traceID=1795834425078861987]\n",
        "[2026/11/28 02:53:45.078 +00:00] [INFO] [server.go:329] [nothing]\n",
        "goroutine 1 [running]: [traceID=\n",
    );
    let signals = read("", "", log);
    let told: Vec<_> = signals
        .server_lines
        .iter()
        .map(|line| (line.line, line.level.as_str(), line.text.as_str()))
        .collect();
    let expected = [
        (
            1,
            "INFO",
            r#"received request msgID=0 "num of ] databases"=1"#,
        ),
        (2, "ERROR", r#"plain ids="[1 2]" list=[1 2]"#),
    ];
    assert_eq!(told, expected);
    assert_eq!(signals.server_lines[0].time, 1_795_834_427_293_000_000);
    assert_eq!(signals.server_lines[0].trace_id[0], 0x0c);
}

#[test]
fn pages_of_prometheus_are_read() {
    let mut reader = Reader::default();
    let page = "# HELP a b\na{x=\"1\",y=\"q\\\"}\\n\"} 2\na{x=\"2\",} +Inf 1700\nb 3e2\nc{x=\"cut";
    reader.server_pages("", page);
    let (before, after) = reader.finish().server_pages.unwrap();
    assert!(before.samples("a").is_empty());
    let [first, second] = after.samples("a") else {
        panic!("{after:?}")
    };
    assert_eq!(first.label("y"), Some("q\"}\n"));
    assert_eq!((first.value, second.value), (2.0, f64::INFINITY));
    assert_eq!(after.samples("b")[0].value, 300.0);
    assert!(after.samples("c").is_empty());
}
