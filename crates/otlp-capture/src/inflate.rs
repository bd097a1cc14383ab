//! The compressions that the Collector accepts, read up to a limit.

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use hyper::header::HeaderValue;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::io::{self, Read};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    /// RFC 1950, called `deflate` in HTTP.
    Zlib,
    Zstd,
}

/// The accepted compressions, for `accept-encoding` and `grpc-accept-encoding`.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip,deflate,zstd,identity");

impl Compression {
    /// The compression of a `content-encoding` or `grpc-encoding`, if it has one.
    ///
    /// # Errors
    /// The name, if it is unknown.
    pub(crate) fn named(name: Option<&HeaderValue>) -> Result<Option<Self>, String> {
        let name = name.map_or(&b""[..], HeaderValue::as_bytes);
        match &name.to_ascii_lowercase()[..] {
            b"" | b"identity" => Ok(None),
            b"gzip" => Ok(Some(Self::Gzip)),
            b"deflate" | b"zlib" => Ok(Some(Self::Zlib)),
            b"zstd" => Ok(Some(Self::Zstd)),
            _ => Err(String::from_utf8_lossy(name).into_owned()),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "deflate",
            Self::Zstd => "zstd",
        }
    }

    /// The bytes that a reader itself needs after it has read `inflated` bytes of content.
    pub(crate) fn window(self, inflated: usize) -> usize {
        match self {
            Self::Gzip | Self::Zlib => 32 << 10,
            Self::Zstd => inflated,
        }
    }

    /// A reader of the decompressed content.
    pub(crate) fn reader(self, compressed: &[u8]) -> Box<dyn Read + '_> {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(compressed)),
            Self::Zlib => Box::new(ZlibDecoder::new(compressed)),
            Self::Zstd => Box::new(ZstdFrames {
                rest: compressed,
                frame: None,
            }),
        }
    }
}

/// The content of a sequence of zstd frames, without skippable frames.
struct ZstdFrames<'b> {
    rest: &'b [u8],
    frame: Option<Frame<'b>>,
}

type Frame<'b> = StreamingDecoder<&'b [u8], ruzstd::decoding::FrameDecoder>;

impl Read for ZstdFrames<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = &mut self.frame else {
                if self.rest.is_empty() {
                    return Ok(0);
                }
                self.begin()?;
                continue;
            };
            match frame.read(out)? {
                0 if !out.is_empty() => {
                    self.rest = self.frame.take().map_or(&[], Frame::into_inner);
                }
                length => return Ok(length),
            }
        }
    }
}

impl ZstdFrames<'_> {
    fn begin(&mut self) -> io::Result<()> {
        match StreamingDecoder::new(self.rest) {
            Ok(frame) => self.frame = Some(frame),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                // A skippable frame begins with a magic number and its length.
                let skipped = self.rest.get(8 + length as usize..);
                self.rest = skipped.ok_or(io::ErrorKind::UnexpectedEof)?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression as Level;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write as _;

    fn inflated(compression: Compression, compressed: &[u8]) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        let read = compression.reader(compressed).read_to_end(&mut content);
        read.map(|_| content).map_err(|error| error.to_string())
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    #[test]
    fn each_compression_is_read_to_its_end_and_no_further_than_it_goes() {
        let content = b"spans, and spans, and spans again".repeat(2_000);
        let mut gzip = GzEncoder::new(Vec::new(), Level::fast());
        gzip.write_all(&content).expect("written to memory");
        let mut zlib = ZlibEncoder::new(Vec::new(), Level::fast());
        zlib.write_all(&content).expect("written to memory");
        for (compression, compressed) in [
            (Compression::Gzip, gzip.finish().expect("written to memory")),
            (Compression::Zlib, zlib.finish().expect("written to memory")),
            (Compression::Zstd, zstd(&content)),
        ] {
            let name = compression.name();
            assert!(compressed.len() < content.len() / 10, "{name}");
            assert_eq!(
                inflated(compression, &compressed).as_deref(),
                Ok(&content[..]),
                "{name}"
            );
            inflated(compression, &compressed[..compressed.len() / 2]).expect_err(name);
            inflated(compression, b"not compressed at all").expect_err(name);
        }
    }

    #[test]
    fn frames_of_zstd_follow_each_other_and_some_are_skipped() {
        let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
        let frames = [
            &skipped[..],
            &zstd(b"one, "),
            skipped,
            &zstd(b""),
            &zstd(b"two"),
        ]
        .concat();
        assert_eq!(
            inflated(Compression::Zstd, &frames).as_deref(),
            Ok(&b"one, two"[..])
        );
        let cut = &skipped[..9];
        inflated(Compression::Zstd, cut).expect_err("a skipped frame that is cut off");
        // Written by the reference implementation, with a checksum: `printf hello | zstd`.
        let reference = b"\x28\xb5\x2f\xfd\x04\x58\x29\x00\x00hello\xa3\x6d\x9f\x88";
        assert_eq!(
            inflated(Compression::Zstd, reference).as_deref(),
            Ok(&b"hello"[..])
        );
    }

    #[test]
    fn names_are_those_of_the_headers() {
        fn check(name: &'static str, expected: Result<Option<Compression>, &str>) {
            let value = HeaderValue::from_static(name);
            let found = Compression::named(Some(&value));
            assert_eq!(
                found.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|e| *e)
            );
        }
        check("", Ok(None));
        check("identity", Ok(None));
        check("GZIP", Ok(Some(Compression::Gzip)));
        check("deflate", Ok(Some(Compression::Zlib)));
        check("zlib", Ok(Some(Compression::Zlib)));
        check("zstd", Ok(Some(Compression::Zstd)));
        check("br", Err("br"));
        check("gzip, gzip", Err("gzip, gzip"));
        assert_eq!(Compression::named(None), Ok(None));
    }
}
