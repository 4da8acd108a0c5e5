//! Which crash test hits which failpoint. A failpoint that is in no test does not compile; one that is never hit fails its test.

use tidegate::runtime::failpoint::Point;

/// The tests that kill a job at every failpoint of a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// During a checkpoint: `tests/recovery/crashes.rs`.
    DuringCheckpoint,
    /// While a savepoint is published: `tests/recovery/crashes.rs`.
    AtSavepoint,
    /// While records are committed to Kafka: `tests/kafka/crashes.rs`.
    WhileCommitting,
}

impl Killed {
    /// The test that hits a failpoint.
    fn at(point: Point) -> Self {
        match point {
            Point::BarrierAligned
            | Point::SnapshotLinked
            | Point::SnapshotStored
            | Point::Upload
            | Point::FileStored
            | Point::SinkSealed
            | Point::PublishBeforeManifest
            | Point::PublishAfterManifest
            | Point::CheckpointCompleted
            | Point::SinkBeforeCommit
            | Point::SinkAfterCommit
            | Point::FileAppended => Self::DuringCheckpoint,
            Point::SavepointBeforeManifest | Point::SavepointAfterManifest => Self::AtSavepoint,
            Point::SealedStored
            | Point::SegmentSealed
            | Point::TransactionBefore
            | Point::TransactionBegun
            | Point::TransactionSent
            | Point::TransactionCommitted => Self::WhileCommitting,
        }
    }

    /// The failpoints at which this test must kill.
    pub fn points(self) -> impl Iterator<Item = Point> {
        Point::ALL.iter().copied().filter(move |point| Self::at(*point) == self)
    }
}
