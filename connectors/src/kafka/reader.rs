//! The operator's side of a source: receives batches from the thread, and tells it about completed checkpoints.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tidegate_runtime::Error;
use tidegate_runtime::source::{Poll, Reader, Resumed};

use super::offsets::Position;

/// How long a reader that is dropped waits for its thread, and how long if the thread has offsets to commit.
const LEAVE: Duration = Duration::from_secs(1);
const COMMIT: Duration = Duration::from_secs(5);

/// The operator's side.
pub(super) struct KafkaReader<T> {
    pub(super) inlet: Option<Box<dyn Reader<T>>>,
    /// The restored splits.
    pub(super) restored: Option<Vec<Resumed>>,
    /// The splits of a fresh start. The thread continues once they are taken.
    pub(super) fresh: Receiver<Vec<Resumed>>,
    /// Sends positions to commit. While it exists, the thread knows that the reader does.
    pub(super) committer: Option<Sender<Vec<Position>>>,
    /// Whether offsets are committed.
    pub(super) commits: bool,
    /// Closed when the thread has exited.
    pub(super) ended: Receiver<()>,
}

impl<T: 'static> Reader<T> for KafkaReader<T> {
    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        self.restored.take().or_else(|| self.fresh.try_recv().ok())
    }

    fn poll(&mut self) -> Result<Poll<T>, Error> {
        self.inlet.as_mut().map_or(Ok(Poll::Finished), |inlet| inlet.poll())
    }

    fn completed(&mut self, positions: &[serde_json::Value]) {
        if let Some(committer) = self.committer.as_ref().filter(|_| self.commits) {
            // This fails if the thread has exited; then the job fails, too.
            let _ = committer.send(positions.iter().filter_map(|p| Position::read(p).ok()).collect());
        }
    }
}

impl<T> Drop for KafkaReader<T> {
    /// Makes the thread exit, so that offsets are committed and no connection is in use when the process ends.
    fn drop(&mut self) {
        (self.inlet, self.committer) = (None, None);
        let _ = self.ended.recv_timeout(if self.commits { COMMIT } else { LEAVE });
    }
}
