//! What a job resumes from: a checkpoint or savepoint, judged, and the parts of it for each operator instance.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde_json::Value as Json;
use tidegate_checkpoints::{
    Declared, DeclaredState, FileError, FileRef, KeyGroups, Manifest, OperatorId, OperatorState, Part, RowReader, RowsError, Snapshot,
    SnapshotError, Verdict, explain, judge, places,
};

use crate::error::{Domain, Error};
use crate::graph::{Graph, Node, Role};
use crate::sink::{Committable, Restored};
use crate::state::{Floor, Instance, Put, Rows, Schema, States, read_files, wanted};

/// A snapshot to resume from. It must have been judged first: see [`verdict`].
#[derive(Clone, Debug)]
pub struct Restore {
    snapshot: Snapshot,
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Source => "source",
        Role::Stateless => "stateless",
        Role::Keyed => "operator",
        Role::Sink => "sink",
    }
}

/// Judges whether a job with these operators can resume from a snapshot. Every caller gets the same judgement. It runs and changes nothing,
/// but sources and sinks may inspect the systems they connect to. `allow_dropped` permits leaving state behind.
#[must_use]
pub fn verdict(graph: &Graph, manifest: &Manifest, allow_dropped: bool) -> Verdict {
    let keeps = graph.nodes().iter().filter(|node| node.role != Role::Stateless);
    let declared: Vec<Declared> = keeps.filter_map(|node| declared(node, manifest)).collect();
    judge(manifest, &declared, KeyGroups::default().max_parallelism(), allow_dropped)
}

/// The declaration of an operator, as the judgement needs it.
fn declared(node: &Node, manifest: &Manifest) -> Option<Declared> {
    let id = OperatorId::new(&node.id).ok()?;
    let role = role(node.role);
    // The snapshot may hold something else under this name. The judgement finds that by itself, so don't bother the operator with it.
    let stored = manifest.operators.iter().find(|stored| stored.id == id && stored.role == role && stored.kind == node.kind.name());
    let list: Vec<Json> = stored.iter().flat_map(|stored| &stored.parts).flat_map(|part| part.list.iter().cloned()).collect();
    let judged = node.judge.as_ref().filter(|_| !list.is_empty()).and_then(|judge| judge.judge(&list).err());
    // Whatever is unreachable now may be reachable when the job runs.
    let (unknown, objections): (Vec<_>, Vec<_>) = judged.into_iter().partition(|why| why.domain() == Domain::External);
    let state = |s: &Schema| DeclaredState { name: s.name.clone(), schema: s.schema.clone(), fields: s.fields.clone() };
    Some(Declared {
        id,
        kind: node.kind.name().to_owned(),
        role: role.to_owned(),
        basis: node.basis.clone(),
        states: node.states.iter().map(state).collect(),
        list_schema: node.list.clone(),
        objections: objections.iter().map(|why| explain(why)).collect(),
        unknown: unknown.first().map(|why| explain(why)),
    })
}

/// The numbers of an operator's states in stored rows: those under which they are stored, or unused ones.
pub(super) fn ids(node: &Node, restore: Option<&Restore>) -> Vec<u8> {
    let stored = restore.and_then(|restore| restore.operator(&node.id));
    let known: BTreeMap<&str, u8> = stored.iter().flat_map(|s| &s.states).map(|s| (s.name.as_str(), s.id)).collect();
    let mut free = (0..=u8::MAX).filter(|id| !known.values().any(|used| used == id));
    node.states.iter().map(|state| known.get(state.name.as_str()).copied().or_else(|| free.next()).unwrap_or(u8::MAX)).collect()
}

/// The part of a snapshot from which an instance resumes.
pub(crate) struct Parts<'a> {
    restore: &'a Restore,
    operator: &'a OperatorState,
    parts: Vec<&'a Part>,
    groups: Range<u16>,
    /// The numbers of the operator's states, in order of declaration.
    ids: &'a [u8],
    /// For states whose values now have different parts: where those lie in the stored values, by state number.
    places: BTreeMap<u8, Vec<Option<usize>>>,
}

/// For the states whose values now have different parts: the stored place of each part, by state number.
fn moved(stored: &OperatorState, schemas: &[Schema]) -> BTreeMap<u8, Vec<Option<usize>>> {
    let moved = |schema: &Schema| {
        let stored = stored.states.iter().find(|stored| stored.name == schema.name)?;
        (stored.fields != schema.fields).then(|| (stored.id, places(&stored.fields, &schema.fields)))
    };
    schemas.iter().filter_map(moved).collect()
}

impl Restore {
    /// Resumes from this snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self { snapshot }
    }

    /// The snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn operator(&self, name: &str) -> Option<&OperatorState> {
        self.snapshot.manifest().operators.iter().find(|operator| operator.id.as_str() == name)
    }

    /// The list that all instances of an operator kept, such as the positions of a source.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<Json>> {
        Some(self.operator(name)?.parts.iter().flat_map(|part| part.list.iter().cloned()).collect())
    }

    /// What all writers of a sink had sealed but not committed, with the files downloaded into `dir`.
    pub(crate) fn committables(&self, name: &str, dir: &Path) -> Result<Option<Restored>, Error> {
        let Some(operator) = self.operator(name) else { return Ok(None) };
        let mut committables = Vec::new();
        for part in &operator.parts {
            for (place, value) in part.list.iter().enumerate() {
                let file = part.files.get(&place).map(|file| {
                    let local = dir.join(format!("{}-{place}-{}", part.worker, file.name));
                    self.snapshot.download(file, &local).map(|()| local).map_err(unrestored)
                });
                committables.push(Committable { value: value.clone(), file: file.transpose()? });
            }
        }
        Ok(Some(Restored { committables, workers: self.snapshot.manifest().workers }))
    }

    /// The parts for the instance that owns `groups`, whose states have these schemas and numbers.
    pub(crate) fn parts<'a>(&'a self, id: &str, groups: Range<u16>, ids: &'a [u8], schemas: &[Schema]) -> Option<Parts<'a>> {
        let operator = self.operator(id)?;
        let meets = |part: &&Part| part.groups.start < groups.end && groups.start < part.groups.end;
        let mut parts: Vec<&Part> = operator.parts.iter().filter(meets).collect();
        parts.sort_by_key(|part| part.groups.start);
        Some(Parts { restore: self, operator, parts, groups, ids, places: moved(operator, schemas) })
    }
}

/// How many bytes of rows are sorted at once. Rows that come in order, such as those of a savepoint from RocksDB, end up in one file
/// whatever this is.
const SORTED: usize = 64 << 20;

/// A file of the snapshot could not be downloaded.
fn unrestored(error: SnapshotError) -> Error {
    match error {
        SnapshotError::File(FileError::Length { .. } | FileError::Checksum { .. }) => Error::damaged(explain(&error)),
        error => Error::external("restoring failed", error),
    }
}

/// A downloaded and verified file of rows can't be parsed.
fn unread(error: RowsError) -> Error {
    match error {
        RowsError::Io { .. } => Error::external("restoring failed", error),
        error => Error::damaged(explain(&error)),
    }
}

impl Parts<'_> {
    /// Whether there are rows to put on disk.
    pub(crate) fn stored(&self) -> bool {
        self.parts.iter().any(|part| !part.db.is_empty() || !part.rows.is_empty())
    }

    /// The files of a RocksDB directory that can be used as they are. They must come from a single former instance with the same key
    /// groups. No value may need its parts rearranged. And the files may hold nothing of a state that the operator no longer has: its rows
    /// would stay, and would become those of the next state to get its number.
    pub(crate) fn as_they_are(&self) -> Option<&[FileRef]> {
        let declared = self.operator.states.iter().all(|state| self.ids.contains(&state.id));
        match self.parts.as_slice() {
            [part] if !part.db.is_empty() && part.groups == self.groups && declared && self.places.is_empty() => Some(&part.db),
            _ => None,
        }
    }

    /// Downloads files into `dir`.
    pub(crate) fn fetch(&self, files: &[FileRef], dir: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(dir).map_err(|e| Error::external(format!("`{}` can't be made", dir.display()), e))?;
        self.restore.snapshot.download_all(files, dir).map_err(unrestored)
    }

    /// Restores the states of an instance. `scratch` is a directory for files that are only read.
    pub(crate) fn load(&self, states: &States, instance: &Instance, scratch: &Path) -> Result<(), Error> {
        for part in &self.parts {
            part.list.iter().try_for_each(|meta| states.restore_meta(meta))?;
        }
        let stored = |id: &u8| self.operator.states.iter().any(|state| state.id == *id);
        let places = self.ids.iter().enumerate().filter(|(_, id)| stored(id)).map(|(place, id)| (*id, place)).collect();
        let loading = Loading { parts: self, states, instance, scratch, places };
        if instance.in_memory() || !self.stored() {
            loading.load(&mut |_, _| Ok(()))?;
        } else {
            instance.disk()?.ingest(|files| loading.load(&mut |key, value| files.put(key, value)))?;
        }
        let mut whole = loading.places.iter().filter(|(_, place)| states.whole(**place));
        whole.try_for_each(|(id, place)| states.restore_whole(*place, &mut |put| self.load_whole(*id, scratch, put)))
    }

    /// Gives `put` the rows of a state from the row files of all former instances.
    fn load_whole(&self, state: u8, scratch: &Path, put: &mut Put<'_>) -> Result<(), Error> {
        for file in self.operator.parts.iter().flat_map(|part| &part.rows) {
            let reader = self.open_rows(file, scratch)?;
            if !reader.rows_by_state().contains_key(&state) {
                continue;
            }
            for row in reader.groups(0..u16::MAX) {
                let row = row.map_err(unread)?;
                if row.state == state {
                    put(&row.key, &row.value)?;
                }
            }
        }
        Ok(())
    }

    /// Opens a file of rows in the directory `scratch`, and downloads it first if it is not there.
    fn open_rows(&self, file: &FileRef, scratch: &Path) -> Result<RowReader, Error> {
        let local = scratch.join(file.path.replace('/', "-"));
        if !local.exists() {
            std::fs::create_dir_all(scratch).map_err(|e| Error::external(format!("`{}` can't be made", scratch.display()), e))?;
            self.restore.snapshot.download(file, &local).map_err(unrestored)?;
        }
        RowReader::open(&local).map_err(unread)
    }

    /// The floors of the states of a former instance: all namespaces below were over.
    fn floors(&self, part: &Part) -> Vec<Floor> {
        let of_state = |meta: &Json, name: &str| meta.get(name)?.get("floor")?.as_i64();
        let states = &self.operator.states;
        let floors = part
            .list
            .iter()
            .flat_map(|meta| states.iter().filter_map(move |s| Some(Floor { state: s.id, least: of_state(meta, &s.name)? })));
        floors.collect()
    }
}

/// The restore of an instance's rows: those of small states into memory, the others to its disk if it has one.
struct Loading<'a> {
    parts: &'a Parts<'a>,
    states: &'a States,
    instance: &'a Instance,
    /// A directory for files that are only read.
    scratch: &'a Path,
    /// The places of the stored states in their order of declaration, by number. Rows of states that the operator no longer has are left
    /// behind, whichever state has their number now.
    places: BTreeMap<u8, usize>,
}

impl Loading<'_> {
    /// Restores the rows of all parts. `put` receives the rows that go to disk, in sorted pieces.
    fn load(&self, put: &mut Put<'_>) -> Result<(), Error> {
        let as_they_are = !self.instance.in_memory() && self.parts.as_they_are().is_some();
        for (i, part) in self.parts.parts.iter().enumerate() {
            let owned = &self.parts.groups;
            let groups = part.groups.start.max(owned.start)..part.groups.end.min(owned.end);
            if !part.db.is_empty() && !as_they_are {
                self.load_files(part, &self.scratch.join(format!("part-{i}")), groups.clone(), put)?;
            }
            self.load_rows(part, groups, put)?;
        }
        Ok(())
    }

    /// Restores the rows of these groups from the RocksDB files of a part, downloaded into `dir`.
    fn load_files(&self, part: &Part, dir: &Path, groups: Range<u16>, put: &mut Put<'_>) -> Result<(), Error> {
        let floors = self.parts.floors(part);
        self.parts.fetch(&part.db, dir)?;
        read_files(dir, groups, |key, value| {
            let row = crate::state::Row { key, value: Some(value) };
            let (_, state, rest) = row.address()?;
            if wanted(&floors, key) { self.place(state, rest, value, &mut |value| put(key, value)) } else { Ok(()) }
        })
    }

    /// Restores the rows of these groups from the row files of a part. Rows of a group come in any order. They go to disk sorted, as many at
    /// a time as may be in memory.
    fn load_rows(&self, part: &Part, groups: Range<u16>, put: &mut Put<'_>) -> Result<(), Error> {
        let readers = part.rows.iter().map(|file| self.parts.open_rows(file, self.scratch)).collect::<Result<Vec<_>, _>>()?;
        let mut rows = Rows::default();
        let mut sorted = |rows: &mut Rows| -> Result<(), Error> {
            rows.sort();
            std::mem::take(rows).iter().try_for_each(|row| put(row.key, row.value.unwrap_or_default()))
        };
        for row in groups.flat_map(|group| readers.iter().flat_map(move |reader| reader.groups(group..group + 1))) {
            let row = row.map_err(unread)?;
            self.place(row.state, &row.key, &row.value, &mut |value| rows.put_row(row.group, row.state, &row.key, value))?;
            if rows.bytes() > SORTED {
                sorted(&mut rows)?;
            }
        }
        sorted(&mut rows)
    }

    /// Restores a row of a state into memory, or gives its value to `to_disk`, with its parts rearranged if they have to be. Leaves out rows
    /// of states that are gone, and of those that are restored as a whole afterwards.
    fn place(&self, state: u8, key: &[u8], value: &[u8], to_disk: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let (states, moved) = (self.states, self.parts.places.get(&state));
        let Some(place) = self.places.get(&state).copied().filter(|place| !states.whole(*place)) else { return Ok(()) };
        let arranged = moved.map(|moved| states.arranged(place, value, moved)).transpose()?;
        let value = arranged.as_deref().unwrap_or(value);
        if self.instance.in_memory() || states.full(place) { states.restore_row(place, key, value) } else { to_disk(value) }
    }
}
