//! Files that are compressed, read as what they hold. The way of compression is told by the first bytes.
//!
//! Memory is what the decoder of a format needs, however much a file claims to hold: 64 KiB for gzip, 8 MiB for
//! LZ4, and 128 MiB at most for Zstandard.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{self, BlockDecodingStrategy};

/// An input as what it holds: decompressed, if it is compressed.
pub(crate) struct Decompressed {
    input: Box<dyn Read + Send>,
    /// The way of compression, if there is one.
    name: Option<&'static str>,
    /// The bytes that were read.
    bytes: u64,
    source_failed: Arc<AtomicBool>,
    damage: Damage,
    ended: bool,
}

/// Note of the damage of a compressed file, once it was found.
pub(crate) type Damage = Arc<OnceLock<String>>;

impl Decompressed {
    /// Looks at the first bytes of an input.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn of(input: impl Read + Send + 'static) -> io::Result<Self> {
        let source_failed = Arc::default();
        let mut source = Source { input, failed: Arc::clone(&source_failed) };
        let mut head = Vec::with_capacity(MAGIC_BYTES);
        source.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut head)?;
        let kind = Kind::of(&head);
        let source = Cursor::new(head).chain(source);
        let (input, name): (Box<dyn Read + Send>, _) = match kind {
            None => (Box::new(source), None),
            Some(Kind::Gzip) => (Box::new(MultiGzDecoder::new(BufReader::new(source))), Some("gzip")),
            Some(Kind::Lz4) => (Box::new(Lz4Frames(FrameDecoder::new(BufReader::new(source)))), Some("LZ4")),
            Some(Kind::Zstandard) => (Box::new(ZstdFrames::new(BufReader::new(source))), Some("Zstandard")),
        };
        Ok(Self { input, name, bytes: 0, source_failed, damage: Damage::default(), ended: false })
    }

    /// Returns where the damage will be noted, if there is any.
    pub(super) fn damage(&self) -> Damage {
        Arc::clone(&self.damage)
    }
}

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        match (self.input.read(buffer), self.name) {
            (Ok(count), _) => {
                self.bytes += count as u64;
                Ok(count)
            }
            // What was compressed is damaged or cut; what came before it counts.
            (Err(error), Some(name))
                if error.kind() != io::ErrorKind::Interrupted
                    && !self.source_failed.load(Ordering::Relaxed) =>
            {
                self.ended = true;
                let text = format!(
                    "the {name} data is damaged or ends early ({error}); what it holds behind byte {} is not read",
                    self.bytes
                );
                self.damage.get_or_init(|| text);
                Ok(0)
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// The most bytes by which a way of compression is known.
const MAGIC_BYTES: usize = 4;

#[derive(Clone, Copy)]
enum Kind {
    Gzip,
    Zstandard,
    Lz4,
}

impl Kind {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            // A frame, or one to be skipped (RFC 8878 §3.1), which parallel compressors write first.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstandard),
            [0x04, 0x22, 0x4d, 0x18] => Some(Self::Lz4),
            _ => None,
        }
    }
}

/// The bytes of a file; whether reading them has failed is noted, to be told from damage in them.
struct Source<R> {
    input: R,
    failed: Arc<AtomicBool>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed.store(true, Ordering::Relaxed);
            }
        })
    }
}

/// The frames of an LZ4 file, one after the other; the decoder takes an empty one for the end.
struct Lz4Frames<R: BufRead>(FrameDecoder<R>);

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.0.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(count);
            }
        }
    }
}

/// The frames of a Zstandard file, one after the other (RFC 8878 §3.1).
struct ZstdFrames<R> {
    source: R,
    decoder: decoding::FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: decoding::FrameDecoder::new(), in_frame: false }
    }

    /// Steps to the next frame; false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if !self.next_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.in_frame = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use lz4_flex::frame::FrameEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstandard(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<String>) {
        let mut input = Decompressed::of(Cursor::new(bytes)).unwrap();
        let damage = input.damage();
        let mut read = Vec::new();
        input.read_to_end(&mut read).unwrap();
        (read, damage.get().cloned())
    }

    fn text() -> Vec<u8> {
        (0..60_000_u32).flat_map(|number| format!("{number} ").into_bytes()).collect()
    }

    #[test]
    fn each_way_of_compression_is_told_by_the_first_bytes() {
        for compress in [gzip, zstandard, lz4] {
            assert_eq!(read(compress(&text())), (text(), None));
            assert_eq!(read(compress(b"")), (Vec::new(), None));
            // Several one after the other hold what all of them do.
            let several = [compress(b"one "), compress(b""), compress(b"two")].concat();
            assert_eq!(read(several), (b"one two".to_vec(), None));
        }
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstandard(b"behind")].concat();
        assert_eq!(read(skipped), (b"behind".to_vec(), None));
        for plain in [&b""[..], b"\x1f", b"\x1f\x8b", b"{\"t\": 1}"] {
            assert_eq!(read(plain.to_vec()), (plain.to_vec(), None));
        }
    }

    #[test]
    fn what_is_cut_or_damaged_gives_what_came_before_and_says_so() {
        for compress in [gzip, zstandard, lz4] {
            let mut bytes = compress(&text());
            let half = bytes.len() / 2;
            let (before, damage) = read(bytes[..half].to_vec());
            assert!(text().starts_with(&before) && before.len() < text().len());
            assert!(damage.unwrap().contains(&format!("behind byte {}", before.len())));
            bytes[half..].fill(0xff);
            let (_, damage) = read(bytes);
            assert!(damage.is_some());
        }
    }

    #[test]
    fn a_source_that_fails_is_no_damage() {
        struct Failing(Cursor<Vec<u8>>);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(io::Error::other("the disk is gone")),
                    count => Ok(count),
                }
            }
        }
        let mut bytes = gzip(&text());
        bytes.truncate(bytes.len() / 2);
        let mut input = Decompressed::of(Failing(Cursor::new(bytes))).unwrap();
        let damage = input.damage();
        let error = input.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!((error.to_string().as_str(), damage.get()), ("the disk is gone", None));
    }
}
