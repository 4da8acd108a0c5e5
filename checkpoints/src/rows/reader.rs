//! Reads a file of rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Decompressor;

use super::block::take_row;
use super::footer::{Footer, Place, number};
use super::{END, HEADER, MAGIC, Row, RowsError, TRAILER, VERSION};

/// Reads rows from a file, by key group.
#[derive(Debug)]
pub struct RowReader {
    path: PathBuf,
    file: File,
    pub(super) footer: Footer,
}

impl RowReader {
    /// Opens a file and checks its start, its end and its footer. Blocks are checked when they are read.
    ///
    /// # Errors
    /// The file can't be read, is damaged, or has another version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RowsError> {
        let path = path.into();
        let failed = RowsError::io("read", &path);
        let file = File::open(&path).map_err(&failed)?;
        let length = file.metadata().map_err(&failed)?.len();
        let footer = read_footer(&path, &file, length)?;
        Ok(Self { path, file, footer })
    }

    /// The rows of these key groups, group by group, and within a group in the order in which they were written.
    pub fn groups(&self, groups: Range<u16>) -> Rows<'_> {
        let blocks = &self.footer.blocks;
        let first = blocks.partition_point(|block| block.group < groups.start);
        let end = blocks.partition_point(|block| block.group < groups.end);
        let blocks = blocks.get(first..end).unwrap_or_default();
        Rows { reader: self, blocks: blocks.iter(), decompressor: None, block: Vec::new(), at: 0, group: 0, left: 0, failed: false }
    }

    /// How many rows these key groups have.
    #[must_use]
    pub fn rows(&self, groups: Range<u16>) -> u64 {
        self.footer.blocks.iter().filter(|block| groups.contains(&block.group)).map(|block| u64::from(block.rows)).sum()
    }

    /// How many rows each state has.
    #[must_use]
    pub fn rows_by_state(&self) -> &BTreeMap<u8, u64> {
        &self.footer.rows_by_state
    }
}

fn read_footer(path: &Path, file: &File, length: u64) -> Result<Footer, RowsError> {
    let failed = RowsError::io("read", path);
    let damaged = |what: &str| RowsError::damaged(path, what);
    if length < (HEADER + TRAILER) as u64 {
        return Err(RowsError::damaged(path, format!("it has only {length} bytes, so its end is missing")));
    }
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).map_err(&failed)?;
    let Some([low, high]) = header.strip_prefix(MAGIC) else {
        return Err(damaged("it doesn't begin as a state file does"));
    };
    let version = u16::from_le_bytes([*low, *high]);
    if version != VERSION {
        return Err(RowsError::Version { path: path.to_owned(), found: version });
    }
    let end = length - TRAILER as u64;
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, end).map_err(&failed)?;
    let mut rest = &trailer[..];
    let (Some(size), Some(checksum), true) = (number(&mut rest), number(&mut rest), rest == END) else {
        return Err(damaged("its end is missing: it was cut off, or never finished"));
    };
    let Some(start) = end.checked_sub(size).filter(|start| *start >= HEADER as u64) else {
        return Err(damaged("its footer would be longer than the file"));
    };
    let mut footer = vec![0; size as usize];
    file.read_exact_at(&mut footer, start).map_err(&failed)?;
    if xxh3_64(&footer) != checksum {
        return Err(damaged("the checksum of its footer doesn't match"));
    }
    Footer::decode(&footer, HEADER as u64, start).ok_or_else(|| damaged("its footer doesn't describe it"))
}

/// Iterates over the rows of some key groups. Ends after an error.
pub struct Rows<'a> {
    reader: &'a RowReader,
    blocks: std::slice::Iter<'a, Place>,
    decompressor: Option<Decompressor<'static>>,
    /// The block being read, from `at` on, which has `left` rows of `group` left.
    block: Vec<u8>,
    at: usize,
    group: u16,
    left: u32,
    failed: bool,
}

impl Rows<'_> {
    fn load(&mut self, place: Place) -> Result<(), RowsError> {
        let path = &self.reader.path;
        let damaged =
            |what: &str| RowsError::damaged(path, format!("{what} in the block of key group {} at byte {}", place.group, place.offset));
        let mut stored = vec![0; place.stored as usize];
        self.reader.file.read_exact_at(&mut stored, place.offset).map_err(RowsError::io("read", path))?;
        if xxh3_64(&stored) != place.checksum {
            return Err(damaged("the checksum doesn't match"));
        }
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().map_err(RowsError::io("read", path))?),
        };
        self.block.clear();
        self.block.reserve(place.raw as usize);
        let length = decompressor.decompress_to_buffer(&stored, &mut self.block).map_err(|e| damaged(&format!("{e}")))?;
        if length != place.raw as usize {
            return Err(damaged("the length doesn't match"));
        }
        (self.at, self.group, self.left) = (0, place.group, place.rows);
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Row>, RowsError> {
        while self.left == 0 {
            if self.at < self.block.len() {
                return Err(RowsError::damaged(
                    &self.reader.path,
                    format!("a block of key group {} has more rows than it should", self.group),
                ));
            }
            let Some(place) = self.blocks.next() else { return Ok(None) };
            self.load(*place)?;
        }
        let mut rest = self.block.get(self.at..).unwrap_or_default();
        let row = take_row(&mut rest, self.group);
        self.at = self.block.len() - rest.len();
        self.left -= 1;
        row.map(Some).ok_or_else(|| RowsError::damaged(&self.reader.path, format!("a row of key group {} is cut off", self.group)))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let row = self.step().transpose();
        self.failed = matches!(row, Some(Err(_)));
        row
    }
}
