//! An S3 server in this process, over a directory.

use std::net::TcpListener;
use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;

/// Serves the bucket `bucket` until the process ends.
pub struct S3 {
    endpoint: String,
    directory: TempDir,
}

impl S3 {
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("bucket")).expect("a directory can be made");
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).expect("it serves a directory"));
        service.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a socket can be told not to block");
        let endpoint = format!("http://{}", listener.local_addr().expect("a socket has an address"));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
                loop {
                    let (socket, _) = listener.accept().await.expect("connections are accepted");
                    let service = service.clone();
                    let builder = Builder::new(TokioExecutor::new());
                    tokio::spawn(async move { builder.serve_connection(TokioIo::new(socket), service).await.map_err(|e| e.to_string()) });
                }
            });
        });
        Self { endpoint, directory }
    }

    /// The path of the object with this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("bucket").join(name)
    }

    /// The environment variables that point to the server, with this secret key.
    pub fn variables(&self, secret: &str) -> [(&'static str, String); 3] {
        [("AWS_ENDPOINT_URL", self.endpoint.clone()), ("AWS_ACCESS_KEY_ID", "key".to_owned()), ("AWS_SECRET_ACCESS_KEY", secret.to_owned())]
    }
}
