//! Storage in a bucket of an S3 server in this process.

#[path = "../../../tests/harness/s3.rs"]
#[allow(dead_code)]
mod s3;

use std::sync::Arc;

use super::{Storage, StorageError};

/// Serves the bucket `bucket` until the process ends.
#[derive(Clone)]
pub(crate) struct TestServer(Arc<s3::S3>);

impl TestServer {
    pub(crate) fn start() -> Self {
        Self(Arc::new(s3::S3::start()))
    }

    pub(crate) fn open(&self, url: &str) -> Result<Storage, StorageError> {
        self.open_as(url, "secret")
    }

    pub(crate) fn open_as(&self, url: &str, secret: &str) -> Result<Storage, StorageError> {
        Storage::open_with(url, self.0.variables(secret).map(|(name, value)| (name.to_owned(), value)))
    }
}
