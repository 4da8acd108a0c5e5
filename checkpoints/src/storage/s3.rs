//! Storage in a bucket of S3, or of a compatible server.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig, WriteMultipart};
use tokio::runtime::{Builder, Runtime};

use super::{Cause, Stored};

/// Files larger than this are sent in parts, in bytes. S3 takes at most 10,000 parts, of at least 5 MiB each.
const PART: u64 = 8 << 20;
const MOST_PARTS: u64 = 9_000;
/// How many parts are sent at a time.
const PARTS_AT_ONCE: usize = 4;
/// Retries end soon: a checkpoint that can't be stored should fail before the next ones pile up behind it.
const RETRY: RetryConfig = RetryConfig {
    backoff: object_store::BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2. },
    max_retries: 6,
    retry_timeout: Duration::from_secs(60),
};

#[derive(Debug)]
pub(super) struct S3 {
    store: AmazonS3,
    runtime: Runtime,
}

impl S3 {
    pub(super) fn open(bucket: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Cause> {
        let mut builder = AmazonS3Builder::new();
        for (name, value) in variables.into_iter().filter(|(name, _)| name.starts_with("AWS_")) {
            // Whoever names an endpoint with http:// wants it without TLS.
            if name.starts_with("AWS_ENDPOINT") && value.starts_with("http://") {
                builder = builder.with_allow_http(true);
            }
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        // The TLS provider of this process. It may have been chosen before, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = builder.with_bucket_name(bucket).with_retry(RETRY).build()?;
        Ok(Self { store, runtime: Builder::new_current_thread().enable_all().build()? })
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8], replace: bool) -> Result<bool, Cause> {
        let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
        let key = Key::parse(name)?;
        match self.runtime.block_on(self.store.put_opts(&key, bytes.to_vec().into(), PutOptions::from(mode))) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) if !replace => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Cause> {
        let key = Key::parse(name)?;
        let get = async { self.store.get(&key).await?.bytes().await };
        Ok(present(self.runtime.block_on(get))?.map(Into::into))
    }

    pub(super) fn len(&self, name: &str) -> Result<Option<u64>, Cause> {
        Ok(present(self.runtime.block_on(self.store.head(&Key::parse(name)?)))?.map(|meta| meta.size))
    }

    pub(super) fn upload(&self, local: &Path, name: &str) -> Result<(), Cause> {
        let mut file = File::open(local)?;
        let size = file.metadata()?.len();
        if size <= PART {
            let mut bytes = Vec::with_capacity(size as usize);
            file.read_to_end(&mut bytes)?;
            return self.put(name, &bytes, true).map(drop);
        }
        let part = PART.max(size / MOST_PARTS) as usize;
        let key = Key::parse(name)?;
        self.runtime.block_on(async {
            let mut upload = WriteMultipart::new_with_chunk_size(self.store.put_multipart(&key).await?, part);
            match send(&mut file, &mut upload).await {
                Ok(()) => upload.finish().await.map(drop).map_err(Cause::from),
                Err(cause) => {
                    // The first error matters, not one of the clean-up.
                    let _ = upload.abort().await;
                    Err(cause)
                }
            }
        })
    }

    pub(super) fn download(&self, name: &str, local: &Path) -> Result<(), Cause> {
        let key = Key::parse(name)?;
        if let Some(folder) = local.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::create(local)?;
        self.runtime.block_on(async {
            let mut parts = self.store.get(&key).await?.into_stream();
            while let Some(part) = parts.try_next().await? {
                file.write_all(&part)?;
            }
            Ok(())
        })
    }

    pub(super) fn entries(&self, root: &str, folder: &str) -> Result<Vec<Stored>, Cause> {
        let prefix = super::join(root, folder);
        let prefix = (!prefix.is_empty()).then(|| Key::parse(&prefix)).transpose()?;
        let files = self.runtime.block_on(self.store.list(prefix.as_ref()).try_collect::<Vec<_>>())?;
        let below = |key: &str| key.strip_prefix(root).map(|name| name.trim_start_matches('/').to_owned());
        let stored = files.into_iter().filter_map(|meta| {
            let name = below(meta.location.as_ref())?;
            Some(Stored { name, bytes: meta.size, stored_ms: meta.last_modified.timestamp_millis() })
        });
        Ok(stored.collect())
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Cause> {
        Ok(present(self.runtime.block_on(self.store.delete(&Key::parse(name)?))).map(drop)?)
    }
}

async fn send(file: &mut File, upload: &mut WriteMultipart) -> Result<(), Cause> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        upload.wait_for_capacity(PARTS_AT_ONCE).await?;
        upload.write(buffer.get(..read).unwrap_or_default());
    }
}

/// Makes a missing file `None`.
fn present<T>(result: object_store::Result<T>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}
