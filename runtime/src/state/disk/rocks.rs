//! The rows of one operator instance in RocksDB.
//!
//! There is no write-ahead log: state needs to be durable only at barriers, and a checkpoint flushes the memtables and links the files. All
//! instances of a process share one block cache, to which their write buffers are charged.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rocksdb::compaction_filter::Decision;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBPinnableSlice,
    DEFAULT_COLUMN_FAMILY_NAME, DataBlockIndexType, Direction, IteratorMode, Options, ReadOptions, SstFileWriter, WriteBatch,
    WriteBufferManager, WriteOptions,
};

use super::{Garbage, Over};
use crate::error::Error;
use crate::state::codec;
use crate::state::rows::Rows;

/// What the RocksDB instances of a process share.
#[derive(Clone)]
pub(crate) struct Resources {
    cache: Cache,
    buffers: WriteBufferManager,
    /// The size at which an instance flushes its write buffer, in bytes.
    buffer: usize,
}

impl Resources {
    /// `bytes` is the budget for blocks and write buffers of `instances` instances together. Half of it may be write buffers.
    pub(crate) fn new(bytes: usize, instances: usize) -> Self {
        let cache = Cache::new_lru_cache(bytes);
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(bytes / 2, false, cache.clone());
        let buffer = (bytes / 4 / instances.max(1)).clamp(1 << 20, 64 << 20);
        Self { cache, buffers, buffer }
    }
}

/// One instance of RocksDB.
pub(crate) struct Disk {
    db: DB,
    dir: PathBuf,
    options: Options,
    write: WriteOptions,
}

fn failed(what: &str, dir: &Path, error: rocksdb::Error) -> Error {
    Error::external(format!("{what} the state in `{}` failed", dir.display()), error)
}

impl Disk {
    /// Opens the instance in `dir`, creating the directory if needed.
    pub(crate) fn open(dir: &Path, resources: &Resources, garbage: &Garbage) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|e| Error::external(format!("the state directory `{}` can't be made", dir.display()), e))?;
        let options = options(resources, garbage);
        // Opened by name, because reads of many keys at once have to name it.
        let family = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
        let db = DB::open_cf_descriptors(&options, dir, [family]).map_err(|e| failed("opening", dir, e))?;
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        Ok(Self { db, dir: dir.to_owned(), options, write })
    }

    /// The value stored under `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>, Error> {
        self.db.get_pinned(key).map_err(|e| failed("reading", &self.dir, e))
    }

    /// The values stored under `keys`, which must be sorted.
    pub(crate) fn get_sorted<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Option<DBPinnableSlice<'_>>>, Error> {
        let Some(family) = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME) else {
            return Err(Error::internal("a RocksDB instance has no default column family"));
        };
        let found = self.db.batched_multi_get_cf(&family, keys, true);
        found.into_iter().collect::<Result<_, _>>().map_err(|e| failed("reading", &self.dir, e))
    }

    /// Writes rows. Cheapest if they are sorted.
    pub(crate) fn write(&self, rows: &Rows) -> Result<(), Error> {
        let mut batch = WriteBatch::with_capacity_bytes(rows.bytes() + 16 * rows.len());
        for row in rows.iter() {
            match row.value {
                Some(value) => batch.put(row.key, value),
                None => batch.delete(row.key),
            }
        }
        self.db.write_opt(batch, &self.write).map_err(|e| failed("writing", &self.dir, e))
    }

    /// Deletes the rows from `from` (inclusive) to `to` (exclusive).
    pub(crate) fn delete_range(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.delete_range(from, to);
        self.db.write_opt(batch, &self.write).map_err(|e| failed("writing", &self.dir, e))
    }

    /// Calls `each` with every row whose key begins with `prefix`, in order.
    pub(crate) fn scan(&self, prefix: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut read = ReadOptions::default();
        read.set_iterate_range(rocksdb::PrefixRange(prefix));
        read.set_readahead_size(256 << 10);
        // A one-time scan must not evict blocks that are read often.
        read.fill_cache(false);
        for row in self.db.iterator_opt(IteratorMode::From(prefix, Direction::Forward), read) {
            let (key, value) = row.map_err(|e| failed("reading", &self.dir, e))?;
            each(&key, &value)?;
        }
        Ok(())
    }

    /// Flushes the memtables and links all files into `to`, which must not exist.
    pub(crate) fn link(&self, to: &Path) -> Result<(), Error> {
        let checkpoint = rocksdb::checkpoint::Checkpoint::new(&self.db).map_err(|e| failed("linking", &self.dir, e))?;
        checkpoint.create_checkpoint(to).map_err(|e| failed("linking", &self.dir, e))
    }

    /// Ingests rows as finished files, ideally in key order. None of the rows may exist yet, and none may come twice.
    pub(crate) fn ingest(&self, fill: impl FnOnce(&mut Ingest<'_>) -> Result<(), Error>) -> Result<u64, Error> {
        let mut ingest = Ingest { disk: self, writer: None, last: Vec::new(), files: Vec::new(), rows: 0 };
        fill(&mut ingest)?;
        ingest.finish()
    }

    /// Compacts everything.
    #[cfg(test)]
    pub(in crate::state) fn compact(&self) {
        self.db.flush().expect("flushing");
        let mut options = rocksdb::CompactOptions::default();
        options.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
        self.db.compact_range_opt::<&[u8], &[u8]>(None, None, &options);
    }

    /// The size of the files in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.db.property_int_value(rocksdb::properties::LIVE_SST_FILES_SIZE).ok().flatten().unwrap_or(0)
    }
}

/// Rows being written to finished files.
pub(crate) struct Ingest<'a> {
    disk: &'a Disk,
    writer: Option<(SstFileWriter<'a>, PathBuf)>,
    /// The key of the last row.
    last: Vec<u8>,
    files: Vec<PathBuf>,
    rows: u64,
}

impl Ingest<'_> {
    /// The size at which a file is finished, in bytes.
    const FILE: u64 = 64 << 20;

    /// Adds a row. A row whose key is not greater than the previous one starts another file.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if key <= self.last.as_slice() {
            self.end_file()?;
        }
        self.last.clear();
        self.last.extend_from_slice(key);
        let dir = &self.disk.dir;
        let (writer, _) = match &mut self.writer {
            Some(open) => open,
            closed => {
                let path = dir.join(format!("ingest-{}", self.files.len()));
                let writer = SstFileWriter::create(&self.disk.options);
                writer.open(&path).map_err(|e| failed("writing", dir, e))?;
                closed.insert((writer, path))
            }
        };
        writer.put(key, value).map_err(|e| failed("writing", dir, e))?;
        self.rows += 1;
        // The file size is known except for the block being filled.
        if self.rows.is_multiple_of(4_096) && writer.file_size() > Self::FILE {
            self.end_file()?;
        }
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), Error> {
        if let Some((mut writer, path)) = self.writer.take() {
            writer.finish().map_err(|e| failed("writing", &self.disk.dir, e))?;
            self.files.push(path);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u64, Error> {
        self.end_file()?;
        if !self.files.is_empty() {
            let mut options = rocksdb::IngestExternalFileOptions::default();
            options.set_move_files(true);
            self.disk.db.ingest_external_file_opts(&options, self.files).map_err(|e| failed("writing", &self.disk.dir, e))?;
        }
        Ok(self.rows)
    }
}

/// Calls `each` with the rows of the key groups in `range` of a linked or restored set of files, in order.
pub(crate) fn read_files(dir: &Path, range: Range<u16>, mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let db = DB::open_for_read_only(&Options::default(), dir, false).map_err(|e| failed("opening", dir, e))?;
    let mut read = ReadOptions::default();
    read.set_iterate_lower_bound(range.start.to_be_bytes());
    read.set_iterate_upper_bound(range.end.to_be_bytes());
    read.set_readahead_size(1 << 20);
    read.fill_cache(false);
    for row in db.iterator_opt(IteratorMode::Start, read) {
        let (key, value) = row.map_err(|e| failed("reading", dir, e))?;
        each(&key, &value)?;
    }
    Ok(())
}

fn options(resources: &Resources, garbage: &Garbage) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&resources.cache);
    table.set_bloom_filter(10.0, false);
    table.set_optimize_filters_for_memory(true);
    // Filters and indexes are charged to the same budget.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Partitioned, so that a look-up does not load those of a whole file.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_format_version(6);

    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_manager(&resources.buffers);
    options.set_write_buffer_size(resources.buffer);
    options.set_max_write_buffer_number(3);
    // Most keys looked up are not in the memtable.
    options.set_memtable_prefix_bloom_ratio(0.05);
    options.set_memtable_whole_key_filtering(true);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(32 << 20);
    options.set_compression_type(DBCompressionType::None);
    options.set_bottommost_compression_type(DBCompressionType::Lz4);
    options.set_keep_log_file_num(1);
    options.set_max_open_files(512);
    // Files are verified when a checkpoint is restored. Reads from them are verified block by block.
    options.set_paranoid_checks(true);
    let garbage = garbage.clone();
    options.set_compaction_filter_factory(GarbageFilterFactory(garbage));
    options
}

struct GarbageFilterFactory(Garbage);

struct GarbageFilter(BTreeMap<u8, Over>);

const FILTER: &std::ffi::CStr = c"tidegate-garbage";

impl rocksdb::compaction_filter_factory::CompactionFilterFactory for GarbageFilterFactory {
    type Filter = GarbageFilter;

    fn create(&mut self, _: rocksdb::compaction_filter_factory::CompactionFilterContext) -> GarbageFilter {
        GarbageFilter(self.0.lock().clone())
    }

    fn name(&self) -> &std::ffi::CStr {
        FILTER
    }
}

impl rocksdb::compaction_filter::CompactionFilter for GarbageFilter {
    fn filter(&mut self, _: u32, key: &[u8], value: &[u8]) -> Decision {
        let Ok((_, state, rest)) = codec::decode_prefix(key) else { return Decision::Keep };
        if self.0.get(&state).is_some_and(|over| over.holds(rest, value)) { Decision::Remove } else { Decision::Keep }
    }

    fn name(&self) -> &std::ffi::CStr {
        FILTER
    }
}
