//! Writes a file of rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};
use zstd::bulk::Compressor;

use super::block::Block;
use super::footer::{Footer, Place};
use super::{END, MAGIC, MAX_ROW, RowsError, VERSION};

/// A block is written when it has this many bytes. Larger blocks hardly compress better; smaller ones cost seeks.
const BLOCK: usize = 64 << 10;
/// The most bytes of rows that may wait in all blocks together. Jobs with up to 256 key groups never reach it.
const BUFFERED: usize = 16 << 20;
/// The fastest of zstd's ordinary levels, because checkpoints compete with the job for the processor.
const LEVEL: i32 = 1;

/// Writes rows, in any order of key groups, into one file.
///
/// It buffers 64 KiB of rows per key group, at most 16 MiB in all, plus one row. Without [`RowWriter::finish`] the file is incomplete.
pub struct RowWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Xxh3,
    offset: u64,
    compressor: Compressor<'static>,
    compressed: Vec<u8>,
    open: Vec<Block>,
    pub(super) buffered: usize,
    footer: Footer,
    by_state: Box<[u64; 256]>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The XXH3 hash of the file.
    pub checksum: u64,
    /// How many rows it holds.
    pub rows: u64,
    /// How many rows of each state it holds.
    pub rows_by_state: BTreeMap<u8, u64>,
}

impl RowWriter {
    /// Creates the file. An existing file of that name is replaced, not written to, because storage may hold a link to it.
    ///
    /// # Errors
    /// The file can't be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, RowsError> {
        let path = path.into();
        let failed = RowsError::io("write", &path);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let mut writer = Self {
            file: BufWriter::new(File::create_new(&path).map_err(&failed)?),
            compressor: Compressor::new(LEVEL).map_err(&failed)?,
            hasher: Xxh3::new(),
            offset: 0,
            compressed: Vec::new(),
            open: Vec::new(),
            buffered: 0,
            footer: Footer::default(),
            by_state: Box::new([0; 256]),
            path,
        };
        writer.write(MAGIC)?;
        writer.write(&VERSION.to_le_bytes())?;
        Ok(writer)
    }

    /// Adds a row. Rows of one key group are read back in the order in which they were added.
    ///
    /// # Errors
    /// The file can't be written, or the row is larger than 1 GiB.
    pub fn push(&mut self, group: u16, state: u8, key: &[u8], value: &[u8]) -> Result<(), RowsError> {
        let bytes = key.len().saturating_add(value.len());
        if bytes > MAX_ROW {
            return Err(RowsError::TooLarge { path: self.path.clone(), group, state, bytes });
        }
        let at = usize::from(group);
        if self.open.len() <= at {
            self.open.resize_with(at + 1, Block::default);
        }
        let Some(block) = self.open.get_mut(at) else { return Ok(()) };
        let before = block.bytes.len();
        block.push(state, key, value);
        self.buffered += block.bytes.len() - before;
        self.by_state[usize::from(state)] += 1;
        if block.bytes.len() >= BLOCK {
            self.flush(group)?;
        }
        if self.buffered >= BUFFERED { self.flush_all() } else { Ok(()) }
    }

    /// Writes what is left and makes the file durable.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(mut self) -> Result<Finished, RowsError> {
        self.flush_all()?;
        self.footer.blocks.sort_by_key(|block| (block.group, block.offset));
        let states = (0u8..=255).zip(*self.by_state).filter(|(_, rows)| *rows > 0);
        self.footer.rows_by_state = states.collect();
        let footer = self.footer.encode();
        self.write(&footer)?;
        self.write(&(footer.len() as u64).to_le_bytes())?;
        self.write(&xxh3_64(&footer).to_le_bytes())?;
        self.write(END)?;
        let failed = RowsError::io("write", &self.path);
        self.file.flush().map_err(&failed)?;
        self.file.get_ref().sync_all().map_err(&failed)?;
        sync_parent(&self.path).map_err(&failed)?;
        let rows_by_state = self.footer.rows_by_state;
        Ok(Finished { bytes: self.offset, checksum: self.hasher.digest(), rows: rows_by_state.values().sum(), rows_by_state })
    }

    fn flush_all(&mut self) -> Result<(), RowsError> {
        for group in 0..self.open.len() {
            self.flush(group as u16)?;
        }
        Ok(())
    }

    fn flush(&mut self, group: u16) -> Result<(), RowsError> {
        let Some(block) = self.open.get_mut(usize::from(group)).filter(|block| block.rows > 0) else { return Ok(()) };
        let raw = block.bytes.len();
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.clear();
        compressed.reserve(zstd::zstd_safe::compress_bound(raw));
        self.compressor.compress_to_buffer(&block.bytes, &mut compressed).map_err(RowsError::io("write", &self.path))?;
        self.footer.blocks.push(Place {
            group,
            rows: block.rows,
            offset: self.offset,
            stored: compressed.len() as u32,
            raw: raw as u32,
            checksum: xxh3_64(&compressed),
        });
        self.buffered -= raw;
        block.rows = 0;
        block.bytes.clear();
        // Gives memory back: one large row may have grown the block, or there are very many groups.
        block.bytes.shrink_to(2 * BLOCK);
        self.write(&compressed)?;
        compressed.shrink_to(2 * BLOCK);
        self.compressed = compressed;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RowsError> {
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        self.file.write_all(bytes).map_err(RowsError::io("write", &self.path))
    }
}

/// Syncs the directory of a file: a new file is only durable when its directory entry is.
fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
