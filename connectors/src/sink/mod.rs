//! Sinks: files, standard output, and memory or a function for tests and examples.

mod buffer;
mod committed;
mod file;
mod memory;
mod part;
mod stdout;

pub use file::{FileSink, is_directory};
pub use memory::{CollectSink, FnSink};
pub use stdout::StdoutSink;

use std::path::Path;

use tidegate_runtime::Error;

/// Whether this is a regular file. Writes to it go to the page cache, so the writer needs no thread, which would cost
/// a third of the processor time per record in jobs that do little else. Pipes, terminals and devices may block on
/// their reader forever.
fn is_regular(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Whether the reader of our output has gone away, as `head` does once it has seen enough. That is not a failure of
/// the job.
#[must_use]
pub fn is_broken_pipe(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::BrokenPipe;
        }
        cause = error.source();
    }
    false
}
