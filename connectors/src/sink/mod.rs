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

/// Is this a regular file? What is written there goes to the page cache, so that a writer need not have a thread, which costs a third of the processor's time
/// per record where little else is done. Pipes, terminals and devices may wait for their reader for ever.
fn is_regular(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Did the reader of our output go away, as `head` does once it has seen enough? That is no failure of the job.
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
