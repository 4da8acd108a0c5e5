//! Checkpoints for the tests of this crate.

use std::collections::BTreeMap;

use crate::{Basis, Epoch, FileRef, Kind, Manifest, OperatorId, OperatorState, Part, StateInfo};

/// A checkpoint of job `fraud` on one worker, with one operator and no files.
pub(crate) fn manifest(generation: u64, epoch: u32) -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        job: "fraud".to_owned(),
        kind: Kind::Checkpoint,
        epoch: Epoch(epoch),
        generation,
        created_ms: 1_700_000_000_000,
        key_groups: 128,
        workers: 1,
        watermark: None,
        operators: vec![operator("per_hour", &[("slices", "i64")], 3)],
    }
}

/// A checkpoint that needs these files, each of which contains [`TEXT`].
pub(crate) fn manifest_of(generation: u64, epoch: u32, paths: &[&str]) -> Manifest {
    let mut manifest = manifest(generation, epoch);
    if let Some(part) = manifest.operators.first_mut().and_then(|operator| operator.parts.first_mut()) {
        part.db = paths.iter().map(|path| file(path)).collect();
    }
    manifest
}

pub(crate) const TEXT: &[u8] = b"text";

/// A file that contains [`TEXT`].
pub(crate) fn file(path: &str) -> FileRef {
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    FileRef { path: path.to_owned(), name, bytes: TEXT.len() as u64, checksum: xxhash_rust::xxh3::xxh3_64(TEXT) }
}

pub(crate) fn operator(id: &str, states: &[(&str, &str)], entries: u64) -> OperatorState {
    let state = |(id, (name, schema)): (u8, &(&str, &str))| StateInfo {
        id,
        name: (*name).to_owned(),
        schema: (*schema).to_owned(),
        fields: Vec::new(),
    };
    OperatorState {
        id: OperatorId::new(id).unwrap(),
        kind: "window".to_owned(),
        role: "operator".to_owned(),
        basis: Basis::default(),
        states: (0..).zip(states).map(state).collect(),
        list_schema: None,
        parts: vec![Part {
            worker: 0,
            groups: 0..128,
            list: Vec::new(),
            files: BTreeMap::new(),
            rows: Vec::new(),
            db: Vec::new(),
            entries,
        }],
    }
}
