//! The operator's end of a source: what the thread hands over, and what it is told.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tidegate_runtime::Error;
use tidegate_runtime::source::{Poll, Reader, Resumed};

use super::offsets::Position;

/// How long a reader that is no longer needed waits for its thread; and how long if that has offsets to commit.
const LEAVE: Duration = Duration::from_secs(1);
const COMMIT: Duration = Duration::from_secs(5);

/// The operator's end.
pub(super) struct KafkaReader<T> {
    pub(super) inlet: Option<Box<dyn Reader<T>>>,
    /// The splits that are restored.
    pub(super) restored: Option<Vec<Resumed>>,
    /// Those of a fresh start. The thread goes on when they are taken.
    pub(super) fresh: Receiver<Vec<Resumed>>,
    /// Takes what is to be committed; tells the thread that the reader is there.
    pub(super) committer: Option<Sender<Vec<Position>>>,
    /// Are offsets committed?
    pub(super) commits: bool,
    /// Closed when the thread has ended.
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
            // Fails if the thread has ended: then the job fails, too.
            let _ = committer.send(positions.iter().filter_map(|p| Position::read(p).ok()).collect());
        }
    }
}

impl<T> Drop for KafkaReader<T> {
    /// Has the thread leave, so that offsets are committed and no connection is in use when the process ends.
    fn drop(&mut self) {
        (self.inlet, self.committer) = (None, None);
        let _ = self.ended.recv_timeout(if self.commits { COMMIT } else { LEAVE });
    }
}
