//! Protobuf's wire format: reads fields from a slice without copying and without a schema, and writes single fields.

/// The value of a field, by wire type.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub number: u32,
    pub value: Value<'a>,
    /// The input from this field on. Its address is the field's position.
    pub at: &'a [u8],
}

/// The reason why an input isn't a valid message, with the address of the offending byte.
#[derive(Debug)]
pub struct Fault {
    pub address: usize,
    pub what: String,
}

/// Reads the fields of one message in order.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// The deepest nesting of groups. OTLP has no groups, but every parser must skip them.
const MAX_GROUPS: u32 = 32;

impl<'a> Value<'a> {
    /// The wire type's name.
    #[must_use]
    pub fn wire_type(self) -> &'static str {
        match self {
            Value::Varint(_) => "a varint",
            Value::Fixed64(_) => "64 bits",
            Value::Bytes(_) => "bytes",
            Value::Fixed32(_) => "32 bits",
        }
    }

    #[inline]
    #[must_use]
    pub fn varint(self) -> Option<u64> {
        match self {
            Value::Varint(value) => Some(value),
            _ => None,
        }
    }

    #[inline]
    #[must_use]
    pub fn fixed64(self) -> Option<u64> {
        match self {
            Value::Fixed64(value) => Some(value),
            _ => None,
        }
    }

    #[inline]
    #[must_use]
    pub fn fixed32(self) -> Option<u32> {
        match self {
            Value::Fixed32(value) => Some(value),
            _ => None,
        }
    }

    #[inline]
    #[must_use]
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(value) => Some(value),
            _ => None,
        }
    }
}

impl<'a> Reader<'a> {
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field; `None` at the end.
    #[inline]
    pub fn entry(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        while !self.rest.is_empty() {
            let start = *self;
            let at = self.rest;
            let (number, wire_type) = self.tag()?;
            let value = match wire_type {
                0 => Value::Varint(self.varint()?),
                1 => Value::Fixed64(self.fixed64()?),
                2 => Value::Bytes(self.bytes()?),
                3 => {
                    self.skip_group(number, MAX_GROUPS)?;
                    continue;
                }
                5 => Value::Fixed32(self.fixed32()?),
                _ => return Err(start.fault(format!("wire type {wire_type} where a field begins"))),
            };
            return Ok(Some(Entry { number, value, at }));
        }
        Ok(None)
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, Fault> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    pub fn fixed32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    fn long_varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for (i, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if i == 9 && byte > 1 {
                    break;
                }
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        let what = if self.rest.len() < 10 {
            "the input ends in a varint"
        } else {
            "a varint of more than 64 bits"
        };
        Err(self.fault(what))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u32), Fault> {
        let start = *self;
        match u32::try_from(self.varint()?) {
            Ok(tag) if tag >= 8 => Ok((tag >> 3, tag & 7)),
            _ => Err(start.fault("a field number out of range")),
        }
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let start = *self;
        let length = self.varint()?;
        let split = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length));
        let Some((bytes, rest)) = split else {
            return Err(start.fault(format!(
                "a length of {length} where {} bytes are left",
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(self.fault(format!(
                "{N} bytes expected where {} are left",
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), Fault> {
        let start = *self;
        if depth == 0 {
            return Err(start.fault(format!("groups nested deeper than {MAX_GROUPS}")));
        }
        while !self.rest.is_empty() {
            let at = *self;
            match self.tag()? {
                (_, 0) => drop(self.varint()?),
                (_, 1) => drop(self.fixed64()?),
                (_, 2) => drop(self.bytes()?),
                (inner, 3) => self.skip_group(inner, depth - 1)?,
                (end, 4) if end == number => return Ok(()),
                (_, 5) => drop(self.fixed32()?),
                (_, wire_type) => return Err(at.fault(format!("wire type {wire_type} in a group"))),
            }
        }
        Err(start.fault("the input ends in a group"))
    }

    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::at(self.rest, what)
    }
}

impl Fault {
    pub fn at(bytes: &[u8], what: impl Into<String>) -> Self {
        Self {
            address: bytes.as_ptr() as usize,
            what: what.into(),
        }
    }
}

#[must_use]
pub fn unzigzag(n: u64) -> i32 {
    let n = n as u32;
    (n >> 1) as i32 ^ -((n & 1) as i32)
}

#[must_use]
pub fn zigzag(n: i32) -> u64 {
    u64::from((n << 1 ^ n >> 31) as u32)
}

pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub fn put_varint_field(out: &mut Vec<u8>, number: u32, n: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, n);
}

pub fn put_fixed64_field(out: &mut Vec<u8>, number: u32, n: u64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&n.to_le_bytes());
}

pub fn put_fixed32_field(out: &mut Vec<u8>, number: u32, n: u32) {
    put_varint(out, u64::from(number) << 3 | 5);
    out.extend_from_slice(&n.to_le_bytes());
}

pub fn put_bytes_field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a field whose content `write` appends. The length is inserted before the content afterwards.
pub fn put_nested_field<E>(
    out: &mut Vec<u8>,
    number: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    put_varint(out, u64::from(number) << 3 | 2);
    let start = out.len();
    write(out)?;
    let end = out.len();
    put_varint(out, (end - start) as u64);
    let prefix = out.len() - end;
    out[start..].rotate_right(prefix);
    Ok(())
}
