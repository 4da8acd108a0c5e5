//! An S3 server in this process, over a directory.

use std::net::TcpListener;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;

use super::Storage;

/// Serves the bucket `bucket` until the process ends.
#[derive(Clone)]
pub(crate) struct TestServer {
    endpoint: String,
    _directory: Arc<TempDir>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("bucket")).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).unwrap());
        service.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let service = service.clone();
                    let builder = Builder::new(TokioExecutor::new());
                    tokio::spawn(async move { builder.serve_connection(TokioIo::new(socket), service).await.map_err(|e| e.to_string()) });
                }
            });
        });
        Self { endpoint, _directory: Arc::new(directory) }
    }

    pub(crate) fn open(&self, url: &str) -> Result<Storage, super::StorageError> {
        self.open_as(url, "secret")
    }

    pub(crate) fn open_as(&self, url: &str, secret: &str) -> Result<Storage, super::StorageError> {
        let variables = [("AWS_ENDPOINT_URL", self.endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", secret)];
        Storage::open_with(url, variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }
}
