//! What a checkpoint or savepoint holds: one JSON document, for people to read and for a restore to trust.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{Basis, Epoch, Field, FileRef, KeyGroups, OperatorId};

/// A complete checkpoint or savepoint: who kept what, and in which files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this document: [`Manifest::FORMAT`].
    pub format: u32,
    /// The name of the job.
    pub job: String,
    /// Kept for failures, or asked for by a person.
    pub kind: Kind,
    /// The epoch whose effects, and those of all before it, are in here.
    pub epoch: Epoch,
    /// Which run of the job wrote it; a later run has a higher number.
    pub generation: u64,
    /// When it was begun, in milliseconds since 1970.
    pub created_ms: i64,
    /// Into how many groups the keys of the job are cut.
    pub key_groups: u16,
    /// How many workers the job ran on.
    pub workers: usize,
    /// The least watermark of the job, in milliseconds since 1970, if there was any.
    pub watermark: Option<i64>,
    /// What each operator kept.
    pub operators: Vec<OperatorState>,
}

/// Why a manifest was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Taken at intervals, deleted when newer ones take its place. Shares files with its neighbours.
    Checkpoint,
    /// Asked for, kept until somebody deletes it. Shares nothing, and can be moved.
    Savepoint,
}

/// What one operator kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorState {
    /// The operator.
    pub id: OperatorId,
    /// What kind of operator it is, such as `tumbling_window`.
    pub kind: String,
    /// What it is to the job: `source`, `operator` or `sink`.
    pub role: String,
    /// What its states rest on.
    #[serde(default, skip_serializing_if = "Basis::is_unknown")]
    pub basis: Basis,
    /// Its keyed states.
    pub states: Vec<StateInfo>,
    /// What the items of its list mean, by a name and a version, if it is a source or a sink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_schema: Option<String>,
    /// What its instances kept, one part per worker that kept anything.
    pub parts: Vec<Part>,
}

/// A keyed state of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateInfo {
    /// Its number in stored rows.
    pub id: u8,
    /// Its name.
    pub name: String,
    /// What its stored bytes mean; another text is another meaning.
    pub schema: String,
    /// The parts of a value that are known by name, in their order: a job that has others goes on with those it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// What the instance of an operator on one worker kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The worker.
    pub worker: usize,
    /// The key groups of its keyed state.
    pub groups: Range<u16>,
    /// Its operator state: positions of a source, what a sink has yet to commit.
    pub list: Vec<serde_json::Value>,
    /// Files that belong to items of the list, by their places in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<usize, FileRef>,
    /// Keyed state in files of rows.
    pub rows: Vec<FileRef>,
    /// Keyed state as the files of one RocksDB directory.
    pub db: Vec<FileRef>,
    /// How many entries of keyed state it holds.
    pub entries: u64,
}

/// Why a document is no manifest that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It isn't JSON, or cut off.
    #[error("it isn't a whole JSON document: {0}")]
    Json(String),
    /// It is JSON with keys or values no manifest has.
    #[error("it isn't a manifest: {0}")]
    Shape(String),
    /// It is of another release.
    #[error("it has format {found}, but this release reads format {}: {}", Manifest::FORMAT, remedy(*found))]
    Format {
        /// Its format.
        found: u64,
    },
    /// It isn't what was written.
    #[error("its checksum is {found} but should be {expected}: it was damaged or edited")]
    Checksum {
        /// The checksum in the document.
        found: String,
        /// The checksum of the document.
        expected: String,
    },
    /// It says what can't be.
    #[error("{0}")]
    Impossible(String),
}

/// What helps with a document of another format.
fn remedy(found: u64) -> &'static str {
    if found < u64::from(Manifest::FORMAT) {
        "it is of a release before operators and states had lasting names, and only that release can go on from it: end the job there, or start anew without it"
    } else {
        "use the release that wrote it, or a newer one"
    }
}

/// Stands before the checksum, which covers everything above it and is the last member of the document.
const CHECKSUM: &str = ",\n  \"checksum\": \"";

impl Manifest {
    /// The format this release writes and reads.
    pub const FORMAT: u32 = 2;
    /// What the file is called.
    pub const FILE: &'static str = "manifest.json";

    /// The document, with its checksum as the last member.
    ///
    /// # Errors
    /// It says what can't be, see [`ManifestError::Impossible`].
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let text = serde_json::to_string_pretty(self).map_err(|e| ManifestError::Shape(e.to_string()))?;
        let body = text.strip_suffix("\n}").unwrap_or(&text);
        Ok(format!("{body}{CHECKSUM}{:016x}\"\n}}\n", xxh3_64(body.as_bytes())).into_bytes())
    }

    /// Reads a document that [`Manifest::to_json`] wrote.
    ///
    /// # Errors
    /// It is damaged or edited, of another format, or says what can't be.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        let mut value: serde_json::Value = serde_json::from_slice(json).map_err(|e| ManifestError::Json(e.to_string()))?;
        // The format goes first: nothing else can be said about a document of another one.
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        let format = format.ok_or_else(|| ManifestError::Shape("it has no `format`".to_owned()))?;
        if format != u64::from(Self::FORMAT) {
            return Err(ManifestError::Format { found: format });
        }
        let text = std::str::from_utf8(json).map_err(|e| ManifestError::Json(e.to_string()))?;
        let (body, end) = text.rsplit_once(CHECKSUM).ok_or_else(|| ManifestError::Shape("it doesn't end in a checksum".to_owned()))?;
        let expected = format!("{:016x}", xxh3_64(body.as_bytes()));
        let found = end.trim_end_matches(['\n', '}', '"']);
        if end != format!("{expected}\"\n}}\n") {
            return Err(ManifestError::Checksum { found: found.to_owned(), expected });
        }
        if let Some(members) = value.as_object_mut() {
            members.shift_remove("checksum");
        }
        let manifest: Self = serde_json::from_value(value).map_err(|e| ManifestError::Shape(e.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// All files it needs, operator by operator. A file that several parts share comes several times.
    pub fn files(&self) -> impl Iterator<Item = &FileRef> {
        self.operators.iter().flat_map(|operator| &operator.parts).flat_map(Part::files)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let impossible = |what: String| Err(ManifestError::Impossible(what));
        if self.format != Self::FORMAT {
            return Err(ManifestError::Format { found: u64::from(self.format) });
        }
        if KeyGroups::new(self.key_groups).max_parallelism() != self.key_groups {
            return impossible(format!("a job can't have {} key groups: 1 to {}", self.key_groups, KeyGroups::LARGEST_MAX_PARALLELISM));
        }
        let mut ids = HashSet::new();
        for operator in &self.operators {
            let id = &operator.id;
            if !ids.insert(id) {
                return impossible(format!("operator `{id}` is in it twice"));
            }
            let (mut numbers, mut names) = (HashSet::new(), HashSet::new());
            if let Some(twice) = operator.states.iter().find(|state| !numbers.insert(state.id) || !names.insert(&state.name)) {
                return impossible(format!("operator `{id}` has two states of the name `{}` or the number {}", twice.name, twice.id));
            }
            for Part { worker, groups, list, files, .. } in &operator.parts {
                if *worker >= self.workers {
                    return impossible(format!("operator `{id}` has a part of worker {worker}, but there were {} workers", self.workers));
                }
                if groups.start > groups.end || groups.end > self.key_groups {
                    return impossible(format!("operator `{id}` has a part with key groups {groups:?} of {}", self.key_groups));
                }
                if let Some(place) = files.keys().find(|place| **place >= list.len()) {
                    return impossible(format!("operator `{id}` has a file of item {place}, but there are {} items", list.len()));
                }
            }
        }
        match self.files().find(|file| !file.is_inside()) {
            Some(file) => impossible(format!("file {:?} ({:?}) doesn't lie in the directory of the job", file.path, file.name)),
            None => Ok(()),
        }
    }
}

impl Part {
    /// All files it needs.
    pub fn files(&self) -> impl Iterator<Item = &FileRef> {
        self.rows.iter().chain(&self.db).chain(self.files.values())
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Checkpoint => "checkpoint",
            Self::Savepoint => "savepoint",
        })
    }
}

#[cfg(test)]
mod tests;
