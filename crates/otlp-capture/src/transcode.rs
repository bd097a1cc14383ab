//! Converts OTLP requests to lines of OTLP JSON in one format.
//!
//! Protobuf is read with the tables of `crate::schema` and written in the same pass, without a
//! tree. A message whose fields are in the order of their numbers, as every encoder writes them,
//! needs one pass. Other messages are valid too (fields interleaved or repeated, a message in
//! pieces). They are read once for each field of their table, which keeps the cost linear and needs
//! no memory.
//!
//! JSON input is first converted to protobuf with the same tables, so there is one writer and one
//! format.

mod json;
#[cfg(test)]
mod tests;

use crate::schema::{Field, Kind, Label, Message, Signal};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use protobuf_wire::{Entry, Fault, Reader, Value, unzigzag};

/// The maximum nesting of the written JSON. Most readers stop at 128 (`serde_json`).
pub const MAX_DEPTH: usize = 100;

/// A request that isn't OTLP, with the place of the error.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not protobuf, or not of the request's type.
    #[error("{what} at byte {offset}")]
    Protobuf {
        /// Bytes from the beginning of the message.
        offset: usize,
        /// The problem.
        what: String,
    },
    /// Not JSON, or not of the request's type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Appends a protobuf request to `line` as OTLP JSON, without a line feed, and counts its records:
/// spans, data points or log records.
///
/// Names are in lowerCamelCase, ids in hexadecimal, 64-bit integers are strings, enums are numbers,
/// other bytes are in base64. Default values and unknown fields are left out. Fields are in the
/// order of their numbers.
///
/// # Errors
/// Input that isn't protobuf, has a known field of the wrong type, text that isn't UTF-8, an id of
/// the wrong length, or nests too deeply. `line` is unchanged then.
pub fn protobuf_to_json(
    signal: Signal,
    request: &[u8],
    line: &mut Vec<u8>,
) -> Result<u64, Malformed> {
    let start = line.len();
    // Senders write fields in order, so a request is first converted in one pass. If that fails,
    // conversion restarts with a check of each message.
    let mut attempt = |is_careful| {
        line.truncate(start);
        let mut writer = Writer {
            out: line,
            records: 0,
            is_careful,
        };
        let written = writer.message(signal.request(), &[request], 1);
        written.map(|()| writer.records)
    };
    let written = attempt(false).or_else(|_| attempt(true));
    written.map_err(|fault| {
        line.truncate(start);
        Malformed::Protobuf {
            offset: fault.address - request.as_ptr() as usize,
            what: fault.what,
        }
    })
}

/// Appends a JSON request to `out` as protobuf.
///
/// Accepts everything that proto3's JSON mapping allows, with ids in hexadecimal as in OTLP:
/// integers as numbers or strings, enums as numbers or names, names in lowerCamelCase or
/// snake_case, `null` for absent values, `NaN` and `Infinity` in strings, base64 of both alphabets.
/// Unknown names are ignored. Half of a surrogate pair, which JavaScript and Python write for a
/// truncated text, is read as U+FFFD. Names from before OTLP 0.15 (`instrumentationLibrarySpans`)
/// are accepted too.
///
/// # Errors
/// Input that isn't JSON, a value of the wrong type or out of range, an id of the wrong length, a
/// name or a oneof that occurs twice, and nesting that is too deep.
pub fn json_to_protobuf(
    signal: Signal,
    request: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let start = out.len();
    let mut attempt = |request: &[u8]| {
        out.truncate(start);
        json::request(signal.request(), request, out)
    };
    let read = attempt(request).or_else(|error| match json::mended(request) {
        Some(mended) => attempt(&mended),
        None => Err(error),
    });
    read.map_err(|error| {
        out.truncate(start);
        Malformed::Json(error)
    })
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    records: u64,
    /// Whether each message is checked before it is written. Without the check, a message that
    /// isn't in order is a fault.
    is_careful: bool,
}

impl Writer<'_> {
    /// Writes a message from one piece, or from several to be merged.
    fn message(
        &mut self,
        table: &'static Message,
        pieces: &[&[u8]],
        depth: usize,
    ) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::at(
                pieces[0],
                format!("`{}` nested deeper than {MAX_DEPTH}", table.name),
            ));
        }
        self.records += u64::from(table.is_record);
        self.out.push(b'{');
        match pieces {
            [piece] if !self.is_careful || is_in_order(table, piece)? => {
                self.in_order(table, piece, depth)?;
            }
            _ => self.field_by_field(table, pieces, depth)?,
        }
        self.out.push(b'}');
        Ok(())
    }

    fn in_order(
        &mut self,
        table: &'static Message,
        piece: &[u8],
        depth: usize,
    ) -> Result<(), Fault> {
        let mut array = Array::default();
        let mut order = Order::default();
        let mut reader = Reader::new(piece);
        while let Some(entry) = reader.entry()? {
            if let Some(field) = table.field(entry.number) {
                if !order.continues_with(field) {
                    return Err(Fault::at(entry.at, "a field out of order"));
                }
                self.field(table, field, &entry, &mut array, depth)?;
            }
        }
        self.close(&mut array);
        Ok(())
    }

    fn field_by_field(
        &mut self,
        table: &'static Message,
        pieces: &[&[u8]],
        depth: usize,
    ) -> Result<(), Fault> {
        let chosen = last_of_oneof(table, pieces)?;
        let mut array = Array::default();
        for field in table.fields {
            let mut entries = entries_of(field, pieces);
            match (field.label, field.kind) {
                (Label::Oneof, _) if chosen != Some(field.number) => {}
                (Label::Repeated, _) => {
                    for entry in entries {
                        self.field(table, field, &entry?, &mut array, depth)?;
                    }
                }
                (_, Kind::Message(inner)) => {
                    let inner_pieces = pieces_of(table, field, pieces)?;
                    if !inner_pieces.is_empty() {
                        self.close(&mut array);
                        self.key(field);
                        self.message(inner, &inner_pieces, depth + 1)?;
                    }
                }
                _ => {
                    let last = entries.try_fold(None, |_, entry| entry.map(Some))?;
                    if let Some(entry) = last {
                        self.field(table, field, &entry, &mut array, depth)?;
                    }
                }
            }
        }
        self.close(&mut array);
        Ok(())
    }

    /// Writes one entry of a field: a scalar (unless it is a default value), a message, or the next
    /// element of an array.
    fn field(
        &mut self,
        table: &'static Message,
        field: &'static Field,
        entry: &Entry<'_>,
        array: &mut Array,
        depth: usize,
    ) -> Result<(), Fault> {
        if field.label != Label::Repeated {
            self.close(array);
            if field.label == Label::Implicit && field.kind.is_default(entry.value) {
                return Ok(());
            }
            self.key(field);
            return self.value(table, field, entry, depth + 1);
        }
        let packed = match entry.value {
            Value::Bytes(packed) if field.kind.is_number() => Some(packed),
            _ => None,
        };
        if packed.is_some_and(<[u8]>::is_empty) {
            return Ok(());
        }
        if array.0 != Some(field.number) {
            self.close(array);
            self.key(field);
            self.out.push(b'[');
            array.0 = Some(field.number);
        }
        let Some(packed) = packed else {
            self.separate();
            return self.value(table, field, entry, depth + 2);
        };
        let mut reader = Reader::new(packed);
        while !reader.is_empty() {
            let value = field.kind.read(&mut reader)?;
            self.separate();
            self.value(table, field, &Entry { value, ..*entry }, depth + 2)?;
        }
        Ok(())
    }

    fn value(
        &mut self,
        table: &'static Message,
        field: &'static Field,
        entry: &Entry<'_>,
        depth: usize,
    ) -> Result<(), Fault> {
        match (field.kind, entry.value) {
            (Kind::Message(inner), Value::Bytes(piece)) => self.message(inner, &[piece], depth)?,
            (Kind::String, Value::Bytes(bytes)) => self.string(table, field, bytes)?,
            (Kind::Id(length), Value::Bytes(bytes)) => {
                self.id(table, field, length, bytes)?;
            }
            (Kind::Bytes, Value::Bytes(bytes)) => self.base64(bytes),
            (Kind::Bool, Value::Varint(n)) => {
                self.out
                    .extend_from_slice(if n == 0 { b"false" } else { b"true" });
            }
            (Kind::Int32 | Kind::Enum(_), Value::Varint(n)) => self.integer(n as i32),
            (Kind::Sint32, Value::Varint(n)) => self.integer(unzigzag(n)),
            (Kind::Uint32, Value::Varint(n)) => self.integer(n as u32),
            (Kind::Fixed32, Value::Fixed32(n)) => self.integer(n),
            (Kind::Int64, Value::Varint(n)) => self.quoted(n as i64),
            (Kind::Sfixed64, Value::Fixed64(n)) => self.quoted(n as i64),
            (Kind::Uint64, Value::Varint(n)) | (Kind::Fixed64, Value::Fixed64(n)) => self.quoted(n),
            (Kind::Double, Value::Fixed64(bits)) => self.double(f64::from_bits(bits)),
            (_, value) => {
                let what = format!("`{}.{}` as {}", table.name, field.name(), value.wire_type());
                return Err(Fault::at(entry.at, what));
            }
        }
        Ok(())
    }

    /// Writes a comma, unless this is the first item of its object or array. No value ends with an
    /// opening bracket.
    fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    fn key(&mut self, field: &'static Field) {
        self.separate();
        self.out.extend_from_slice(field.key.as_bytes());
    }

    fn close(&mut self, array: &mut Array) {
        if array.0.take().is_some() {
            self.out.push(b']');
        }
    }

    fn integer(&mut self, n: impl itoa::Integer) {
        self.out
            .extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    fn quoted(&mut self, n: impl itoa::Integer) {
        self.out.push(b'"');
        self.integer(n);
        self.out.push(b'"');
    }

    fn double(&mut self, n: f64) {
        if n.is_finite() {
            self.json(&n);
        } else if n.is_nan() {
            self.out.extend_from_slice(b"\"NaN\"");
        } else {
            self.out.extend_from_slice(if n > 0.0 {
                b"\"Infinity\""
            } else {
                b"\"-Infinity\""
            });
        }
    }

    fn string(
        &mut self,
        table: &'static Message,
        field: &'static Field,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        if is_plain(bytes) {
            self.out.push(b'"');
            self.out.extend_from_slice(bytes);
            self.out.push(b'"');
            return Ok(());
        }
        let text = str::from_utf8(bytes).map_err(|error| {
            let what = format!("`{}.{}` that isn't UTF-8", table.name, field.name());
            Fault::at(&bytes[error.valid_up_to()..], what)
        })?;
        self.json(text);
        Ok(())
    }

    fn id(
        &mut self,
        table: &'static Message,
        field: &'static Field,
        length: usize,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        if bytes.len() != length && !bytes.is_empty() {
            let (message, name) = (table.name, field.name());
            let what = format!("`{message}.{name}` of {} bytes, not {length}", bytes.len());
            return Err(Fault::at(bytes, what));
        }
        self.out.push(b'"');
        let digits = bytes
            .iter()
            .flat_map(|b| [b >> 4, b & 15])
            .map(|digit| DIGITS[usize::from(digit)]);
        self.out.extend(digits);
        self.out.push(b'"');
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        let start = self.out.len();
        self.out.resize(start + bytes.len().div_ceil(3) * 4, 0);
        BASE64_STANDARD
            .encode_slice(bytes, &mut self.out[start..])
            .expect("room for the encoded bytes");
        self.out.push(b'"');
    }

    fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut *self.out, value)
            .expect("a number or a string is written to memory");
    }
}

/// The number of the repeated field whose array is open.
#[derive(Default)]
struct Array(Option<u32>);

impl Kind {
    /// Whether the field can be packed.
    fn is_number(self) -> bool {
        !matches!(
            self,
            Kind::String | Kind::Bytes | Kind::Id(_) | Kind::Message(_)
        )
    }

    /// Whether the upper half of a varint is ignored.
    fn is_32_bits(self) -> bool {
        matches!(
            self,
            Kind::Int32 | Kind::Sint32 | Kind::Uint32 | Kind::Enum(_)
        )
    }

    fn is_default(self, value: Value<'_>) -> bool {
        match value {
            Value::Varint(n) if self.is_32_bits() => n as u32 == 0,
            Value::Varint(n) | Value::Fixed64(n) => n == 0,
            Value::Fixed32(n) => n == 0,
            Value::Bytes(bytes) => bytes.is_empty() && !matches!(self, Kind::Message(_)),
        }
    }

    fn read<'a>(self, reader: &mut Reader<'a>) -> Result<Value<'a>, Fault> {
        match self {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => reader.fixed64().map(Value::Fixed64),
            Kind::Fixed32 => reader.fixed32().map(Value::Fixed32),
            _ => reader.varint().map(Value::Varint),
        }
    }
}

/// Whether a text needs no escaping in JSON, like most. The loop has no early exit, so that the
/// compiler vectorizes it.
fn is_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |is_plain, byte| {
        is_plain & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\')
    })
}

/// The state of a message that is written in one pass. Field numbers must not decrease, only
/// repeated fields may occur twice, and at most one member of the oneof may occur.
#[derive(Default)]
struct Order {
    previous: u32,
    has_oneof: bool,
}

impl Order {
    fn continues_with(&mut self, field: &Field) -> bool {
        let is_oneof = field.label == Label::Oneof;
        let is_again = field.number == self.previous && field.label != Label::Repeated;
        let continues = field.number >= self.previous && !is_again && !(self.has_oneof && is_oneof);
        self.previous = field.number;
        self.has_oneof |= is_oneof;
        continues
    }
}

/// Whether a message can be written in one pass.
fn is_in_order(table: &'static Message, piece: &[u8]) -> Result<bool, Fault> {
    let mut reader = Reader::new(piece);
    let mut order = Order::default();
    while let Some(entry) = reader.entry()? {
        if let Some(field) = table.field(entry.number)
            && !order.continues_with(field)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn entries<'a>(pieces: &[&'a [u8]]) -> impl Iterator<Item = Result<Entry<'a>, Fault>> {
    pieces.iter().flat_map(|piece| {
        let mut reader = Reader::new(piece);
        let mut failed = false;
        std::iter::from_fn(move || {
            let entry = if failed {
                None
            } else {
                reader.entry().transpose()
            };
            failed = matches!(entry, Some(Err(_)));
            entry
        })
    })
}

fn entries_of<'a>(
    field: &'static Field,
    pieces: &[&'a [u8]],
) -> impl Iterator<Item = Result<Entry<'a>, Fault>> {
    entries(pieces).filter(|entry| {
        entry
            .as_ref()
            .map_or(true, |entry| field.has_number(entry.number))
    })
}

/// The final member of a message's oneof: the last one that was set.
fn last_of_oneof(table: &'static Message, pieces: &[&[u8]]) -> Result<Option<u32>, Fault> {
    entries(pieces).try_fold(None, |last, entry| {
        let number = entry?.number;
        let is_oneof = table
            .field(number)
            .is_some_and(|field| field.label == Label::Oneof);
        Ok(if is_oneof { Some(number) } else { last })
    })
}

/// The pieces of a field's message, to be merged. Another member of the oneof clears earlier
/// pieces. An empty piece adds nothing after the first.
fn pieces_of<'a>(
    table: &'static Message,
    field: &'static Field,
    pieces: &[&'a [u8]],
) -> Result<Vec<&'a [u8]>, Fault> {
    let mut found: Vec<&[u8]> = Vec::new();
    for entry in entries(pieces) {
        let entry = entry?;
        let Some(met) = table.field(entry.number) else {
            continue;
        };
        if met.number == field.number {
            match entry.value {
                Value::Bytes([]) if !found.is_empty() => {}
                Value::Bytes(piece) => found.push(piece),
                value => {
                    let what =
                        format!("`{}.{}` as {}", table.name, field.name(), value.wire_type());
                    return Err(Fault::at(entry.at, what));
                }
            }
        } else if (met.label, field.label) == (Label::Oneof, Label::Oneof) {
            found.clear();
        }
    }
    Ok(found)
}
