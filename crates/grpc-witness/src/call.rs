//! An open call.

use crate::record::{CallRecord, Mended, Party, Traffic};

/// Headers that carry a trace context. A name that ends in `*` is a prefix.
const CONTEXT: [&str; 16] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-*",
    "grpc-trace-bin",
    "uber-trace-id",
    "uberctx-*",
    "sentry-trace",
    "x-datadog-*",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-ot-span-context",
    "ot-tracer-*",
    "client-request-id",
    "client_request_id",
];

/// The most bytes and values of contexts that are kept of one call.
const KEPT_BYTES: usize = 16 << 10;
const KEPT_VALUES: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) record: CallRecord,
    request: Messages,
    response: Messages,
    kept_bytes: usize,
    kept_values: usize,
}

impl Call {
    /// A header of the request.
    pub(crate) fn header(&mut self, name: &[u8], value: &[u8]) {
        let record = &mut self.record;
        match name {
            b":path" => record.path = text(value),
            b":authority" => record.authority = text(value),
            b"grpc-timeout" => record.timeout = Some(text(value)),
            b"user-agent" => record.user_agent = Some(text(value)),
            _ if is_context(name) => self.keep(name, value),
            _ => {}
        }
    }

    fn keep(&mut self, name: &[u8], value: &[u8]) {
        let bytes = self.kept_bytes + name.len() + value.len();
        if bytes > KEPT_BYTES || self.kept_values == KEPT_VALUES {
            self.record.context_is_cut = true;
            return;
        }
        self.kept_bytes = bytes;
        self.kept_values += 1;
        let values = self.record.context.entry(text(name)).or_default();
        values.push(text(value));
    }

    pub(crate) fn mended(&mut self, mended: Mended) {
        if !self.record.mended.contains(&mended) {
            self.record.mended.push(mended);
        }
    }

    /// A header or trailer of the answer.
    pub(crate) fn answer_header(&mut self, name: &[u8], value: &[u8]) {
        let number = || std::str::from_utf8(value).ok()?.parse::<u32>().ok();
        match name {
            b":status" => self.record.http_status = number().and_then(|code| code.try_into().ok()),
            b"grpc-status" => self.record.grpc_status = number(),
            _ => {}
        }
    }

    /// A part of a body.
    pub(crate) fn body(&mut self, by: Party, content: &[u8]) {
        match by {
            Party::Client => self.request.read(content, &mut self.record.request),
            Party::Server => self.response.read(content, &mut self.record.response),
        }
    }
}

fn is_context(name: &[u8]) -> bool {
    CONTEXT.iter().any(|known| match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix.as_bytes()),
        None => name == known.as_bytes(),
    })
}

/// A text of at most `KEPT_BYTES` bytes.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(KEPT_BYTES)]).into_owned()
}

/// Counts the messages in a body. Each has a prefix: a flag and the message's length.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    prefix: [u8; 5],
    /// Bytes of `prefix` that have arrived.
    prefixed: usize,
    /// Bytes of the message that haven't arrived yet.
    left: usize,
}

impl Messages {
    pub(crate) fn read(&mut self, mut content: &[u8], traffic: &mut Traffic) {
        while !content.is_empty() {
            if self.prefixed < self.prefix.len() {
                let taken = content.len().min(self.prefix.len() - self.prefixed);
                self.prefix[self.prefixed..self.prefixed + taken]
                    .copy_from_slice(&content[..taken]);
                self.prefixed += taken;
                content = &content[taken..];
                if self.prefixed < self.prefix.len() {
                    return;
                }
                let [_, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length) as usize;
            }
            let taken = content.len().min(self.left);
            content = &content[taken..];
            self.left -= taken;
            traffic.bytes += taken as u64;
            if self.left == 0 {
                traffic.messages += 1;
                self.prefixed = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_their_bytes_come() {
        let body: Vec<u8> = [0_usize, 3, 700, 0, 1]
            .into_iter()
            .flat_map(|length| {
                let mut message = vec![0];
                message.extend((length as u32).to_be_bytes());
                message.resize(5 + length, 7);
                message
            })
            .collect();
        for chunk in 1..body.len() {
            let mut call = Call::default();
            for part in body.chunks(chunk) {
                call.body(Party::Client, part);
            }
            let expected = Traffic {
                messages: 5,
                bytes: 704,
            };
            assert_eq!(call.record.request, expected, "in chunks of {chunk}");
        }
    }

    #[test]
    fn contexts_are_kept_as_sent_and_nothing_else_is() {
        let mut call = Call::default();
        let sent = [
            ("traceparent", "00-1"),
            ("traceparent", "00-2"),
            ("x-b3-traceid", "a"),
            ("x-datadog-parent-id", "7"),
            ("authorization", "secret"),
            ("cookie", "secret"),
            ("x-b2", "no context"),
        ];
        for (name, value) in sent {
            call.header(name.as_bytes(), value.as_bytes());
        }
        let json = serde_json::to_string(&call.record).expect("JSON");
        assert!(json.contains(r#""context":{"traceparent":["00-1","00-2"],"x-b3-traceid":["a"],"x-datadog-parent-id":["7"]}"#), "{json}");
        assert!(!json.contains("secret"), "{json}");
    }

    #[test]
    fn contexts_without_end_are_cut() {
        let mut call = Call::default();
        for _ in 0..1000 {
            call.header(b"baggage", &[b'a'; 100]);
        }
        assert_eq!(call.record.context["baggage"].len(), 153);
        assert!(call.record.context_is_cut);
    }
}
