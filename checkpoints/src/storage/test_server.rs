//! Storage in a bucket of an S3 server in this process.

#[path = "../../../tests/harness/s3.rs"]
mod s3;

use super::Storage;

/// Serves the bucket `bucket` until the process ends.
#[derive(Clone)]
pub(crate) struct TestServer(s3::Server);

impl TestServer {
    pub(crate) fn start() -> Self {
        Self(s3::Server::start())
    }

    pub(crate) fn open(&self, url: &str) -> Result<Storage, super::StorageError> {
        self.open_as(url, "secret")
    }

    pub(crate) fn open_as(&self, url: &str, secret: &str) -> Result<Storage, super::StorageError> {
        Storage::open_with(url, self.0.variables(secret).map(|(name, value)| (name.to_owned(), value.to_owned())))
    }
}
