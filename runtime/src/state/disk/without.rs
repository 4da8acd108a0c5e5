//! The stand-in for RocksDB in a build without it. It can't be opened.

use std::ops::Range;
use std::path::Path;

use super::Garbage;
use crate::error::{Error, JobError};
use crate::state::rows::Rows;

fn missing() -> Error {
    Error::user(JobError::NoRocksDb.to_string())
}

/// What instances on disk would share.
#[derive(Clone)]
pub(crate) struct Resources;

impl Resources {
    pub(crate) fn new(_bytes: usize, _instances: usize) -> Self {
        Self
    }
}

/// A disk, of which there is none.
pub(crate) enum Disk {}

impl Disk {
    pub(crate) fn open(_dir: &Path, _resources: &Resources, _garbage: &Garbage) -> Result<Self, Error> {
        Err(missing())
    }

    pub(crate) fn get(&self, _key: &[u8]) -> Result<Option<&[u8]>, Error> {
        match *self {}
    }

    pub(crate) fn get_sorted<'a>(&self, _keys: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Option<&[u8]>>, Error> {
        match *self {}
    }

    pub(crate) fn write(&self, _rows: &Rows) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn delete_range(&self, _from: &[u8], _to: &[u8]) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn scan(&self, _prefix: &[u8], _each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn link(&self, _to: &Path) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn ingest(&self, _fill: impl FnOnce(&mut Ingest) -> Result<(), Error>) -> Result<u64, Error> {
        match *self {}
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        match *self {}
    }
}

/// Rows on their way to disk.
pub(crate) enum Ingest {}

impl Ingest {
    pub(crate) fn put(&mut self, _key: &[u8], _value: &[u8]) -> Result<(), Error> {
        match *self {}
    }
}

/// Calls `each` with the rows in a linked set of files.
pub(crate) fn read_files(_dir: &Path, _range: Range<u16>, _each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
    Err(missing())
}
