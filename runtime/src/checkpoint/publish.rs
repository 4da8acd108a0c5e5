//! Publishes complete checkpoints and savepoints by writing the manifest, and deletes checkpoints that are no longer kept.

use tidegate_checkpoints::retention::{self, InFlight};
use tidegate_checkpoints::{
    FileRef, Kind, Manifest, OperatorId, OperatorState, Part, StateInfo, Storage, explain, failpoint, publish_savepoint,
};

use super::config::Completed;
use super::coordinator::{Complete, Plan};
use super::lead::{Lead, PARTLY_ENDED};
use super::{lock, restore};
use crate::clock::Clock;
use crate::graph::NodeId;
use crate::state::Schema;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Lead {
    /// Publishes, on the publishing thread.
    pub(super) fn publish_now(&self, complete: Complete) {
        let epoch = complete.epoch;
        match self.try_publish(&complete) {
            Ok(completed) => {
                let savepoint = completed.savepoint.clone();
                let mut status = lock(&self.status);
                status.completed += 1;
                status.under_way = false;
                status.last = Some(completed);
                drop(status);
                self.published(epoch, self.commits(&complete.plan));
                failpoint::Point::CheckpointCompleted.hit();
                self.requests.answer(epoch, Ok(savepoint.unwrap_or_default()));
                self.forget_old();
            }
            Err(error) => self.declined(epoch, &explain(&*error), false),
        }
    }

    /// Whether sinks may commit when this is complete. If checkpoints are taken, only a checkpoint lets them. After a failure the job
    /// resumes from the latest checkpoint and would write again whatever had been committed with a later savepoint.
    fn commits(&self, plan: &Plan) -> bool {
        match plan {
            Plan::Checkpoint => true,
            Plan::Savepoint(_) => !self.setup.on(),
        }
    }

    fn try_publish(&self, complete: &Complete) -> Outcome<Completed> {
        let manifest = self.manifest(complete)?;
        let savepoint = match &complete.plan {
            Plan::Checkpoint => {
                let config = self.setup.config.as_ref().ok_or("checkpoints have no directory")?;
                config.directory.publish(&manifest)?;
                None
            }
            Plan::Savepoint(to) => {
                // A savepoint must not refer to files outside its directory.
                let elsewhere = |file: &FileRef| file.path.contains('/');
                if manifest.files().any(elsewhere) {
                    return Err(PARTLY_ENDED.into());
                }
                publish_savepoint(&Storage::open(to)?, &manifest)?;
                Some(to.clone())
            }
        };
        let bytes = manifest.files().map(|file| file.bytes).sum();
        let stored = complete.reports.values().map(|report| report.stored).sum();
        let at = self.start.elapsed();
        Ok(Completed { epoch: complete.epoch, took: at.saturating_sub(complete.begun), bytes, stored, at, savepoint })
    }

    fn manifest(&self, complete: &Complete) -> Outcome<Manifest> {
        let mut operators = Vec::new();
        for (i, node) in self.setup.graph.nodes().iter().enumerate() {
            let spread = node.spread(self.setup.workers);
            let of_node = complete.reports.iter().filter(|(member, _)| member.node == NodeId(i));
            let parts: Vec<Part> = of_node
                .map(|(member, report)| Part {
                    worker: member.worker,
                    groups: self.setup.key_groups.owned(member.worker, spread),
                    list: report.list.clone(),
                    files: report.files.clone(),
                    rows: report.rows.clone(),
                    db: report.db.clone(),
                    entries: report.entries,
                })
                .collect();
            if parts.is_empty() {
                continue;
            }
            let states = node.states.iter().zip(self.setup.ids(NodeId(i)));
            let state =
                |(s, id): (&Schema, &u8)| StateInfo { id: *id, name: s.name.clone(), schema: s.schema.clone(), fields: s.fields.clone() };
            operators.push(OperatorState {
                id: OperatorId::new(&node.id).map_err(|e| e.to_string())?,
                kind: node.kind.name().to_owned(),
                role: restore::role(node.role).to_owned(),
                basis: node.basis.clone(),
                states: states.map(state).collect(),
                list_schema: node.list.clone(),
                parts,
            });
        }
        let watermark = self.replica.board.slowest().map(|watermark| watermark.0);
        let age = self.start.elapsed().saturating_sub(complete.begun);
        Ok(Manifest {
            format: Manifest::FORMAT,
            job: self.setup.job.clone(),
            kind: if complete.plan == Plan::Checkpoint { Kind::Checkpoint } else { Kind::Savepoint },
            epoch: complete.epoch,
            generation: self.setup.config.as_ref().map_or(0, |config| config.generation),
            created_ms: Clock::default().now().saturating_sub(i64::try_from(age.as_millis()).unwrap_or_default()),
            key_groups: self.setup.key_groups.max_parallelism(),
            workers: self.setup.workers,
            watermark: watermark.filter(|w| *w != i64::MIN),
            operators,
        })
    }

    /// Deletes checkpoints that are no longer kept. If that fails, the next checkpoint tries again.
    fn forget_old(&self) {
        let Some(config) = &self.setup.config else { return };
        let files = lock(&self.in_use).values().flatten().cloned().collect();
        let in_flight = InFlight { files, since_ms: Clock::default().now() };
        if let Err(error) = retention::retain(&config.directory, config.generation, config.keep, &in_flight) {
            lock(&self.status).failure = Some(explain(&error));
        }
    }
}
