//! An S3 server in this process, over a directory.

use std::net::TcpListener;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;

/// Serves the bucket `bucket` until the process ends.
#[derive(Clone)]
pub struct Server {
    endpoint: String,
    _directory: Arc<TempDir>,
}

impl Server {
    pub fn start() -> Self {
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

    /// What a client's environment says of it.
    pub fn variables<'v>(&'v self, secret: &'v str) -> [(&'static str, &'v str); 3] {
        [("AWS_ENDPOINT_URL", &self.endpoint), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", secret)]
    }
}
