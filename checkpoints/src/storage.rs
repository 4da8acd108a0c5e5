//! Where checkpoints are kept: a directory, or a bucket of S3 or of a compatible server.
//!
//! Names are relative paths with `/` between their parts. Every call blocks until it is done. What it has written is then durable.

mod local;
mod s3;

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use crate::explain::explain;
use crate::failpoint;
use crate::file_ref::is_name;
use local::Local;
use s3::S3;

/// A place for files, and everything below it. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Storage {
    root: String,
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Local(Local),
    S3(Arc<S3>, String),
}

/// A file in storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name: its path in the storage.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was stored, by the clock of the storage, in milliseconds since 1970.
    pub stored_ms: i64,
}

/// What storage failed to do, where, and why.
#[derive(Debug, thiserror::Error)]
#[error("can't {action} {path}: {}", explain(&**cause))]
pub struct StorageError {
    action: &'static str,
    path: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

/// The error of a backend.
type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Storage {
    /// Opens `s3://bucket/prefix`, `file:///directory`, or a directory given as a path. A missing directory is created when something is stored there.
    ///
    /// S3 takes its endpoint, region and credentials from the environment, as AWS tools do (`AWS_ENDPOINT_URL`, `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`...).
    ///
    /// # Errors
    /// The URL has another scheme or no bucket, or the environment is incomplete.
    pub fn open(url: &str) -> Result<Self, StorageError> {
        Self::open_with(url, std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))))
    }

    /// Opens a URL like [`Storage::open`], with these variables instead of the environment.
    ///
    /// # Errors
    /// As for [`Storage::open`].
    pub fn open_with(url: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, StorageError> {
        match Location::parse(url)? {
            Location::Directory(path) => Ok(Self::directory(&path)),
            Location::Bucket { bucket, prefix } => {
                let root = format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned();
                let s3 = S3::open(&bucket, variables).map_err(|cause| unusable(url, cause))?;
                Ok(Self { root, backend: Backend::S3(Arc::new(s3), prefix) })
            }
        }
    }

    /// Checks that [`Storage::open`] understands this URL. Only its text is checked; nothing is opened.
    ///
    /// # Errors
    /// The URL has another scheme or no bucket.
    pub fn check(url: &str) -> Result<(), StorageError> {
        Location::parse(url).map(drop)
    }

    fn directory(path: &Path) -> Self {
        Self { root: path.display().to_string(), backend: Backend::Local(Local::new(path)) }
    }

    /// The place `folder` in this one.
    ///
    /// # Errors
    /// `folder` is not a valid name.
    pub fn inside(&self, folder: &str) -> Result<Self, StorageError> {
        self.call("use", folder, || Ok(()))?;
        let backend = match &self.backend {
            Backend::Local(local) => Backend::Local(local.inside(folder)),
            Backend::S3(s3, prefix) => Backend::S3(Arc::clone(s3), join(prefix, folder)),
        };
        Ok(Self { root: join(&self.root, folder), backend })
    }

    /// Makes sure that files can be stored there: a missing directory is created.
    ///
    /// # Errors
    /// They can't be stored there.
    pub fn prepare(&self) -> Result<(), StorageError> {
        match &self.backend {
            Backend::Local(local) => {
                local.prepare().map_err(|cause| StorageError { action: "write to", path: self.root.clone(), cause: cause.into() })
            }
            // Only storing something would tell.
            Backend::S3(..) => Ok(()),
        }
    }

    /// The path or URL of this place, for messages.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Stores a file, all of it or nothing. An existing file of that name is replaced.
    ///
    /// # Errors
    /// Storage fails.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.call("write", name, || match &self.backend {
            Backend::Local(local) => local.put(name, bytes, true).map(drop),
            Backend::S3(s3, prefix) => s3.put(&join(prefix, name), bytes, true).map(drop),
        })
    }

    /// Stores a file if there is none of that name, and returns whether it did. Of several callers that try, one succeeds.
    ///
    /// # Errors
    /// Storage fails.
    pub fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<bool, StorageError> {
        self.call("write", name, || match &self.backend {
            Backend::Local(local) => local.put(name, bytes, false),
            Backend::S3(s3, prefix) => s3.put(&join(prefix, name), bytes, false),
        })
    }

    /// The contents of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// Storage fails.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.call("read", name, || match &self.backend {
            Backend::Local(local) => local.get(name),
            Backend::S3(s3, prefix) => s3.get(&join(prefix, name)),
        })
    }

    /// The length of a file in bytes; `None` if there is no such file.
    ///
    /// # Errors
    /// Storage fails.
    pub fn len(&self, name: &str) -> Result<Option<u64>, StorageError> {
        self.call("look at", name, || match &self.backend {
            Backend::Local(local) => local.len(name),
            Backend::S3(s3, prefix) => s3.len(&join(prefix, name)),
        })
    }

    /// Stores a local file. An existing file of that name is replaced. In a directory on the same file system it is linked, so `local` must not be written
    /// to afterwards, but may be deleted.
    ///
    /// # Errors
    /// Storage fails, or `local` can't be read.
    pub fn upload(&self, local: &Path, name: &str) -> Result<(), StorageError> {
        failpoint::Point::Upload.hit();
        self.call("store", name, || {
            let stored = match &self.backend {
                Backend::Local(storage) => storage.upload(local, name),
                Backend::S3(s3, prefix) => s3.upload(local, &join(prefix, name)),
            };
            stored.map_err(|cause| format!("from {}: {}", local.display(), explain(&*cause)).into())
        })
    }

    /// Downloads a file to `local`, and replaces an existing one. Table files of RocksDB, files of rows and segments of sinks, recognised by the extension
    /// of `local`, are linked where possible. All others are copied, because a database that is opened may write to them.
    ///
    /// # Errors
    /// Storage fails, or has no such file, or `local` can't be written.
    pub fn download(&self, name: &str, local: &Path) -> Result<(), StorageError> {
        self.call("fetch", name, || {
            let fetched = match &self.backend {
                Backend::Local(storage) => storage.download(name, local),
                Backend::S3(s3, prefix) => s3.download(&join(prefix, name), local),
            };
            fetched.map_err(|cause| format!("to {}: {}", local.display(), explain(&*cause)).into())
        })
    }

    /// The names of all files in a folder and in the folders below it, sorted. With an empty `folder`, the names of all files.
    ///
    /// # Errors
    /// Storage fails.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        let files = self.entries(folder)?.into_iter().map(|file| file.name);
        Ok(files.filter(|name| !local::is_temporary(name)).collect())
    }

    /// Lists files like [`Storage::list`], with lengths and times, and including what interrupted writes have left behind.
    ///
    /// # Errors
    /// Storage fails.
    pub fn entries(&self, folder: &str) -> Result<Vec<Stored>, StorageError> {
        let mut files = match &self.backend {
            Backend::Local(local) => local.entries(folder),
            Backend::S3(s3, prefix) => s3.entries(prefix, folder),
        }
        .map_err(|cause| StorageError { action: "list", path: join(&self.root, folder), cause })?;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// True if there is no such place.
    ///
    /// # Errors
    /// Storage fails.
    pub(crate) fn is_absent(&self) -> Result<bool, StorageError> {
        match &self.backend {
            Backend::Local(local) => Ok(!local.exists()),
            Backend::S3(..) => Ok(self.entries("")?.is_empty()),
        }
    }

    /// Deletes a file, if it exists.
    ///
    /// # Errors
    /// Storage fails.
    pub fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.call("delete", name, || match &self.backend {
            Backend::Local(local) => local.delete(name),
            Backend::S3(s3, prefix) => s3.delete(&join(prefix, name)),
        })
    }

    fn call<T>(&self, action: &'static str, name: &str, what: impl FnOnce() -> Result<T, Cause>) -> Result<T, StorageError> {
        let done = match is_name(name) {
            true => what(),
            false => Err("names are relative paths, without `.`, `..` and empty parts".into()),
        };
        done.map_err(|cause| StorageError { action, path: join(&self.root, name), cause })
    }
}

/// What a URL means.
enum Location {
    Directory(PathBuf),
    Bucket { bucket: String, prefix: String },
}

impl Location {
    fn parse(url: &str) -> Result<Self, StorageError> {
        let failed = |cause: Cause| unusable(url, cause);
        let Some((scheme, _)) = url.split_once("://") else {
            return std::path::absolute(url).map(Self::Directory).map_err(|e| failed(e.into()));
        };
        let parsed = Url::parse(url).map_err(|e| failed(e.into()))?;
        match scheme {
            "file" => match parsed.to_file_path() {
                Ok(path) => Ok(Self::Directory(path)),
                Err(()) => Err(failed("a file URL has three slashes and an absolute path: file:///var/lib/tidegate".into())),
            },
            "s3" => {
                let Some(bucket) = parsed.host_str().filter(|bucket| !bucket.is_empty()) else {
                    return Err(failed("it names no bucket: s3://bucket/prefix".into()));
                };
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: parsed.path().trim_matches('/').to_owned() })
            }
            _ => Err(failed(format!("`{scheme}` is no storage this program knows: use a path, file:// or s3://").into())),
        }
    }
}

fn unusable(url: &str, cause: Cause) -> StorageError {
    StorageError { action: "use", path: format!("{url:?} as storage"), cause }
}

fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", _) => name.to_owned(),
        (_, "") => folder.to_owned(),
        _ => format!("{}/{name}", folder.trim_end_matches('/')),
    }
}
