//! What sinks have sealed. Its files are stored by the storing thread, and each sink recovers once per run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tidegate_checkpoints::{Directory, Epoch, FileRef, Storage, explain, failpoint};

use super::coordinator::{Member, Plan, Report};
use super::{Checkpoints, lock};
use crate::error::Error;
use crate::graph::NodeId;
use crate::sink::{Committable, Restored};

/// Everything that a writer has sealed but not committed at the end of an epoch.
pub(crate) struct Sealed {
    pub(crate) member: Member,
    pub(crate) epoch: Epoch,
    pub(crate) plan: Plan,
    /// Whether the member's input has ended.
    pub(crate) last: bool,
    pub(crate) since: Instant,
    pub(crate) committables: Vec<Committable>,
}

/// The files of a writer that are in checkpoint storage, by local path.
pub(super) type Stored = HashMap<PathBuf, FileRef>;

impl Sealed {
    /// Stores the files that are not stored yet, and returns the report, or why that failed.
    pub(super) fn store(self, checkpoints: &Checkpoints, stored: &mut Stored) -> Result<Report, String> {
        let savepoint = match &self.plan {
            Plan::Checkpoint => None,
            Plan::Savepoint(to) => Some(Storage::open(to).map_err(|e| explain(&e))?),
        };
        let mut report = Report::default();
        for (place, Committable { value, file }) in self.committables.into_iter().enumerate() {
            report.list.push(value);
            let Some(local) = file else { continue };
            let file = match (&savepoint, stored.get(&local)) {
                (None, Some(file)) => file.clone(),
                _ => {
                    let name = own_name(self.member, &local)?;
                    let name = if savepoint.is_some() { checkpoints.savepoint_file(self.epoch, &name) } else { name };
                    let file = upload(checkpoints, savepoint.as_ref(), &local, name)?;
                    report.stored += file.bytes;
                    file
                }
            };
            if savepoint.is_none() {
                stored.insert(local, file.clone());
            }
            report.files.insert(place, file);
        }
        if savepoint.is_none() {
            checkpoints.uses(self.member, report.files.values().map(|file| file.path.clone()));
        }
        report.took = self.since.elapsed();
        Ok(report)
    }
}

fn own_name(member: Member, local: &Path) -> Result<String, String> {
    let name =
        local.file_name().and_then(|name| name.to_str()).ok_or_else(|| format!("`{}` has no name to be stored under", local.display()))?;
    Ok(format!("{}-{}-{name}", member.node.0, member.worker))
}

fn upload(checkpoints: &Checkpoints, savepoint: Option<&Storage>, local: &Path, name: String) -> Result<FileRef, String> {
    let (storage, path) = match (savepoint, &checkpoints.config) {
        (Some(savepoint), _) => (savepoint, name.clone()),
        // The file may be part of several checkpoints until it is committed.
        (None, Some(config)) => (config.directory.storage(), Directory::shared_path(config.generation, &name)),
        (None, None) => return Err("checkpoints have no directory".to_owned()),
    };
    let file = FileRef::describe(local, path, name).map_err(|e| explain(&e))?;
    storage.upload(local, &file.path).map_err(|e| explain(&e))?;
    failpoint::Point::SealedStored.hit();
    Ok(file)
}

/// The sinks that have recovered in this run.
#[derive(Default)]
pub(crate) struct Recoveries(Mutex<HashMap<NodeId, Option<Arc<Restored>>>>);

impl Recoveries {
    /// Makes the first worker to arrive recover the sink. The others wait and get its result.
    pub(crate) fn once(
        &self,
        node: NodeId,
        recover: impl FnOnce() -> Result<Option<Restored>, Error>,
    ) -> Result<Option<Arc<Restored>>, Error> {
        let mut recovered = lock(&self.0);
        if let Some(restored) = recovered.get(&node) {
            return Ok(restored.clone());
        }
        let restored = recover()?.map(Arc::new);
        recovered.insert(node, restored.clone());
        Ok(restored)
    }
}
