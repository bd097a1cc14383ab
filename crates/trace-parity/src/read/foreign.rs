//! Formats that are named instead of read, each with what to do.

/// First bytes, at which offset, of what, and how to unpack it.
const BINARY: [(&[u8], usize, &str, &str); 12] = [
    (b"PK\x03\x04", 0, "a zip archive", "unzip FILE"),
    (b"\xfd7zXZ\0", 0, "xz-compressed", "xz --decompress FILE"),
    (b"BZh", 0, "bzip2-compressed", "bunzip2 FILE"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive", "7z x FILE"),
    (b"\x04\x22\x4d\x18", 0, "lz4-compressed", "lz4 -d FILE"),
    (
        b"\xff\x06\0\0sNaPpY",
        0,
        "snappy-compressed",
        "snzip -d FILE",
    ),
    (
        b"\x1f\x9d",
        0,
        "compressed by `compress`",
        "uncompress FILE",
    ),
    (b"ustar", 257, "a tar archive", "tar -xf FILE"),
    (
        b"\xff\xfe",
        0,
        "UTF-16 text",
        "iconv -f UTF-16 -t UTF-8 FILE",
    ),
    (
        b"\xfe\xff",
        0,
        "UTF-16 text",
        "iconv -f UTF-16 -t UTF-8 FILE",
    ),
    (b"{\0", 0, "UTF-16 text", "iconv -f UTF-16LE -t UTF-8 FILE"),
    (b"\0{", 0, "UTF-16 text", "iconv -f UTF-16BE -t UTF-8 FILE"),
];

/// Words near the beginning of a text that is not JSON, and what writes them.
const TEXT: [(&str, &str); 7] = [
    ("ResourceSpans #0", "the Collector's debug exporter"),
    ("Activity.TraceId:", ".NET's console exporter"),
    ("LoggingSpanExporter", "Java's logging exporter"),
    ("instrumentationScope: {", "Node's ConsoleSpanExporter"),
    ("Instrumentation Scope", "Rust's opentelemetry-stdout"),
    ("<html", "a web page"),
    ("<!DOCTYPE html", "a web page"),
];

/// A field of a JSON document, and what writes it.
const FIELDS: [(&str, &str); 8] = [
    ("context", "Python's ConsoleSpanExporter"),
    ("SpanContext", "Go's stdouttrace exporter"),
    ("instrumentationScope", "the console exporter of an SDK"),
    ("traceEvents", "a Chrome trace"),
    ("traces", "a search result of Tempo, which holds no spans"),
    ("hits", "an answer of Elasticsearch"),
    ("spanId", "a span outside `resourceSpans`"),
    ("operationName", "a Jaeger span outside a trace"),
];

/// What an input is that can't be read, in one sentence.
pub(crate) fn name(bytes: &[u8]) -> Option<String> {
    let starts = |(magic, at, ..): &&(&[u8], usize, &str, &str)| {
        bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic))
    };
    if let Some((_, _, what, command)) = BINARY.iter().find(starts) {
        return Some(format!("the input is {what}; unpack it with `{command}`"));
    }
    let text = bytes.trim_ascii_start();
    let is_json = text.starts_with(b"{\"") || text.starts_with(b"[");
    if is_json {
        return None;
    }
    const LOOKED_AT: usize = 16 * 1024;
    let head = &text[..text.len().min(LOOKED_AT)];
    let holds = |words: &str| memchr::memmem::find(head, words.as_bytes()).is_some();
    let (_, what) = TEXT
        .iter()
        .find(|(words, _)| holds(words) && !holds("{\""))?;
    Some(format!(
        "the input is text of {what}, which isn't read; export OTLP to a Collector's file exporter or to the capture"
    ))
}

fn writer(fields: &[String]) -> Option<&'static str> {
    let known = FIELDS
        .iter()
        .find(|(field, _)| fields.iter().any(|known| known == field));
    known.map(|(_, what)| *what)
}

/// Whether the fields of a JSON document tell a format that isn't read.
pub(crate) fn is_named(fields: &[String]) -> bool {
    !fields.is_empty() && writer(fields).is_some()
}

/// What a JSON document of an unknown format is, by its fields.
pub(crate) fn document(fields: &[String]) -> String {
    match writer(fields) {
        Some(what) => format!(
            "the document is {what}, which isn't read; export OTLP to a Collector's file exporter or to the capture"
        ),
        None => "a JSON document without `resourceSpans`".to_owned(),
    }
}
