//! Opens files, decompresses them by extension (`.gz`, `.zst`), and counts the stored bytes that are read.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// The extension of a compressed file.
pub(crate) fn compression(path: &Path) -> Option<String> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    matches!(ending.as_str(), "gz" | "zst").then_some(ending)
}

/// A file being read.
pub(crate) enum Input {
    Plain(Counted),
    /// One or more members in sequence, as `cat a.gz b.gz` produces.
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
    /// One or more frames in sequence.
    Zstd(Box<zstd::Decoder<'static, BufReader<Counted>>>),
}

impl Input {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let empty = metadata.is_file() && metadata.len() == 0;
        let file = Counted { file, count: 0, lines: (0, 0) };
        Ok(match compression(path).as_deref() {
            // An empty file is not a valid stream of either kind, but its content is clear.
            Some("gz") if !empty => Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(BLOCK, file)))),
            Some("zst") if !empty => Self::Zstd(Box::new(zstd::Decoder::with_buffer(BufReader::with_capacity(BLOCK, file))?)),
            _ => Self::Plain(file),
        })
    }

    /// The number of stored bytes read from the file.
    pub(crate) fn stored(&self) -> u64 {
        match self {
            Self::Plain(file) => file.count,
            Self::Gzip(gz) => gz.get_ref().get_ref().count,
            Self::Zstd(zst) => zst.get_ref().get_ref().count,
        }
    }

    /// Skips this many decompressed bytes and returns how many there were.
    pub(crate) fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        if let Self::Plain(plain) = self
            && plain.file.metadata()?.is_file()
        {
            let (at, length) = (plain.file.stream_position()?, plain.file.metadata()?.len());
            let skipped = bytes.min(length.saturating_sub(at));
            plain.file.seek(io::SeekFrom::Start(at + skipped))?;
            plain.count += skipped;
            return Ok(skipped);
        }
        io::copy(&mut self.take(bytes), &mut io::sink())
    }

    /// Moves to an offset, or to the end if that comes first, and returns where it is. Compressed files have no offsets. The last `unread`
    /// bytes were read in vain.
    pub(super) fn jump(&mut self, offset: u64, unread: u64) -> io::Result<u64> {
        let Self::Plain(plain) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        let offset = offset.min(plain.file.metadata()?.len());
        plain.file.seek(io::SeekFrom::Start(offset))?;
        plain.count = plain.count.saturating_sub(unread);
        Ok(offset)
    }

    /// The number of the line that ends at this offset, or in which it lies.
    pub(super) fn lines_until(&mut self, offset: u64) -> io::Result<u64> {
        let ended = self.ends_line(offset)?;
        let Self::Plain(plain) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        Ok(plain.lines_until(offset)? + u64::from(!ended))
    }

    /// Whether the byte before this offset ends a line. It only matters for files that may have grown, which
    /// compressed files can't.
    pub(crate) fn ends_line(&mut self, offset: u64) -> io::Result<bool> {
        let Self::Plain(plain) = self else { return Ok(true) };
        let Some(last) = offset.checked_sub(1).filter(|_| plain.file.metadata().is_ok_and(|metadata| metadata.is_file())) else {
            return Ok(true);
        };
        let mut byte = [0];
        plain.file.read_exact_at(&mut byte, last)?;
        Ok(byte == *b"\n")
    }

    /// Explains an error that occurred while decompressing.
    pub(crate) fn trouble(&self, error: &io::Error) -> Option<String> {
        let kind = match self {
            Self::Plain(_) => return None,
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
        };
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Some(format!("the {kind} stream is cut short")),
            _ => Some(format!("the {kind} stream is damaged")),
        }
    }
}

/// How many compressed bytes are read at a time.
const BLOCK: usize = 64 << 10;

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(gz) => gz.read(buffer),
            Self::Zstd(zst) => zst.read(buffer),
        }
    }
}

/// A file that counts the bytes read from it.
pub(crate) struct Counted {
    file: File,
    count: u64,
    /// An offset, and the number of lines that end at or before it.
    lines: (u64, u64),
}

impl Counted {
    /// The number of lines that end at or before an offset. Counts on from where it was last asked.
    fn lines_until(&mut self, offset: u64) -> io::Result<u64> {
        let (mut at, mut lines) = if self.lines.0 <= offset { self.lines } else { (0, 0) };
        let mut block = vec![0; BLOCK];
        while at < offset {
            let wanted = (offset - at).min(BLOCK as u64) as usize;
            let read = self.file.read_at(&mut block[..wanted], at)?;
            if read == 0 {
                break;
            }
            lines += memchr::memchr_iter(b'\n', &block[..read]).count() as u64;
            at += read as u64;
        }
        self.lines = (at, lines);
        Ok(lines)
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.count += n as u64;
        Ok(n)
    }
}
