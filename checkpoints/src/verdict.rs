//! Whether a job can go on from a checkpoint or savepoint: judged before anything runs.

use std::fmt;

use crate::{Basis, Field, Manifest, OperatorId, OperatorState, Part, StateInfo, places};

/// An operator of the job that is to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The operator.
    pub id: OperatorId,
    /// What kind of operator it is, such as `tumbling_window`.
    pub kind: String,
    /// What it is to the job: `source`, `operator` or `sink`.
    pub role: String,
    /// What its states rest on.
    pub basis: Basis,
    /// Its keyed states.
    pub states: Vec<DeclaredState>,
    /// What the items of its list mean, if it is a source or a sink.
    pub list_schema: Option<String>,
    /// Why it can't go on with what is stored under its name, as far as only it can tell: a source that reads another topic, for example.
    pub objections: Vec<String>,
    /// What it can't tell now.
    pub unknown: Option<String>,
}

/// A keyed state of a declared operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredState {
    /// Its name.
    pub name: String,
    /// What its stored bytes mean.
    pub schema: String,
    /// The parts of a value that are known by name.
    pub fields: Vec<Field>,
}

/// What becomes of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on with what it kept.
    Restored,
    /// It goes on with what it kept of what it still has; what is new in it starts empty.
    Migrated,
    /// It begins empty: nothing was kept under its name.
    New,
    /// The job has it no more; what it kept is left behind, as was allowed.
    Dropped,
    /// What it kept can't be used.
    Refused,
}

/// The verdict on one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The operator.
    pub id: OperatorId,
    /// What it does; in the job, if the job has it.
    pub kind: String,
    /// How many entries of keyed state are stored.
    pub entries: u64,
    /// How many pieces of operator state are stored.
    pub list: usize,
    /// What becomes of it.
    pub outcome: Outcome,
    /// What in it changes, if it is migrated.
    pub changes: Vec<String>,
    /// Why, where it isn't plain.
    pub notes: Vec<String>,
}

/// The verdict on a restore. Its text is a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The operators of the job as declared, then those it has no more.
    pub lines: Vec<Line>,
    /// The numbers of key groups stored and declared, if they differ.
    pub key_groups: Option<(u16, u16)>,
}

/// Judges whether a job of these operators and key groups can go on from `manifest`. `allow_dropped` lets it leave state behind that it has no use for.
#[must_use]
pub fn judge(manifest: &Manifest, declared: &[Declared], key_groups: u16, allow_dropped: bool) -> Verdict {
    let stored = |id: &OperatorId| manifest.operators.iter().find(|stored| stored.id == *id);
    let kept = declared.iter().map(|operator| judge_operator(operator, stored(&operator.id), allow_dropped));
    let gone = manifest.operators.iter().filter(|stored| declared.iter().all(|operator| operator.id != stored.id));
    let lines = kept.chain(gone.map(|stored| judge_gone(stored, allow_dropped))).collect();
    let differ = manifest.key_groups != key_groups;
    Verdict { lines, key_groups: differ.then_some((manifest.key_groups, key_groups)) }
}

fn judge_operator(declared: &Declared, stored: Option<&OperatorState>, allow_dropped: bool) -> Line {
    let (entries, list) = stored.map_or((0, 0), held);
    let new = Line {
        id: declared.id.clone(),
        kind: declared.kind.clone(),
        entries,
        list,
        outcome: Outcome::New,
        changes: Vec::new(),
        notes: Vec::new(),
    };
    // What kept nothing can be anything now.
    let Some(stored) = stored.filter(|stored| held(stored) != (0, 0)) else {
        return if stored.is_some() { Line { outcome: Outcome::Restored, ..new } } else { new };
    };
    if (&stored.kind, &stored.role) != (&declared.kind, &declared.role) {
        let was = format!("it was a {} ({}), now it is a {} ({})", stored.kind, stored.role, declared.kind, declared.role);
        return Line { outcome: Outcome::Refused, notes: vec![was, ANOTHER_NAME.to_owned()], ..new };
    }
    let mut judged = Judged { allow_dropped, ..Judged::default() };
    judged.basis(&declared.basis, &stored.basis);
    judged.states(&declared.states, &stored.states);
    judged.list(declared.list_schema.as_deref(), stored);
    judged.objections.extend(declared.objections.iter().cloned());
    let unknown = declared.unknown.iter().map(|why| format!("warning: whether it can go on can't be told now: {why}"));
    judged.line(new, declared.basis.warnings(&stored.basis).into_iter().chain(unknown).collect())
}

/// What helps where an operator can't go on with its state, and wants none of it.
const ANOTHER_NAME: &str =
    "to begin without that state, give it another name (or another `uid`), and leave what is stored behind by `--allow-dropped-state`";

/// What has been found of an operator.
#[derive(Default)]
struct Judged {
    allow_dropped: bool,
    objections: Vec<String>,
    /// What helps against them.
    remedies: Vec<&'static str>,
    changes: Vec<String>,
    notes: Vec<String>,
}

impl Judged {
    fn object(&mut self, why: String, remedy: &'static str) {
        self.objections.push(why);
        if !self.remedies.contains(&remedy) {
            self.remedies.push(remedy);
        }
    }

    fn basis(&mut self, now: &Basis, stored: &Basis) {
        for why in now.objections(stored) {
            self.object(why, ANOTHER_NAME);
        }
    }

    fn states(&mut self, now: &[DeclaredState], stored: &[StateInfo]) {
        for state in stored {
            let name = &state.name;
            match now.iter().find(|now| now.name == *name) {
                Some(now) if now.schema == state.schema => self.fields(now, state),
                Some(now) => {
                    self.object(format!("state `{name}` is stored as {} but declared as {}", state.schema, now.schema), ANOTHER_NAME);
                }
                None if self.allow_dropped => self.notes.push(format!("state `{name}` is dropped")),
                None => self.object(format!("state `{name}` isn't declared any more"), "`--allow-dropped-state` drops it"),
            }
        }
        let new = now.iter().filter(|now| stored.iter().all(|state| state.name != now.name));
        self.notes.extend(new.map(|now| format!("state `{}` is new and begins empty", now.name)));
    }

    /// The items of a list are read by what wrote them alone.
    fn list(&mut self, now: Option<&str>, stored: &OperatorState) {
        let was = stored.list_schema.as_deref();
        if was != now && stored.parts.iter().any(|part| !part.list.is_empty()) {
            let name = |schema: Option<&str>| schema.unwrap_or("nothing that has a name").to_owned();
            self.object(format!("its list is stored as {} but declared as {}", name(was), name(now)), ANOTHER_NAME);
        }
    }

    /// The parts of a state that are known by name: those that are what they were go on.
    fn fields(&mut self, now: &DeclaredState, stored: &StateInfo) {
        let mut changes = Vec::new();
        for (field, place) in now.fields.iter().zip(places(&stored.fields, &now.fields)) {
            let name = &field.name;
            match stored.fields.iter().find(|stored| stored.name == *name) {
                _ if place.is_some() => {}
                None => changes.push(format!("`{name}` starts now")),
                Some(was) if self.allow_dropped => changes.push(format!("`{name}` was {} and starts now as {}", was.is, field.is)),
                Some(was) => self.object(
                    format!("`{name}` is stored as {}, and is {} now", was.is, field.is),
                    "give what is computed now another name, or let `--allow-dropped-state` drop what is stored: either way it starts empty",
                ),
            }
        }
        for gone in stored.fields.iter().filter(|stored| now.fields.iter().all(|now| now.name != stored.name)) {
            let name = &gone.name;
            match self.allow_dropped {
                true => changes.push(format!("`{name}` is dropped")),
                false => self.object(format!("`{name}` is stored, and not computed any more"), "`--allow-dropped-state` drops it"),
            }
        }
        // Several states of an operator may hold the same.
        changes.retain(|change| !self.changes.contains(change));
        self.changes.extend(changes);
    }

    fn line(self, new: Line, warnings: Vec<String>) -> Line {
        let Self { mut objections, remedies, changes, mut notes, .. } = self;
        if !objections.is_empty() {
            let mut seen: Vec<String> = Vec::new();
            objections.retain(|why| {
                let first = !seen.contains(why);
                seen.push(why.clone());
                first
            });
            objections.extend(remedies.into_iter().map(str::to_owned));
            return Line { outcome: Outcome::Refused, notes: objections, ..new };
        }
        notes.extend(warnings);
        let outcome = if changes.is_empty() { Outcome::Restored } else { Outcome::Migrated };
        Line { outcome, changes, notes, ..new }
    }
}

fn judge_gone(stored: &OperatorState, allow_dropped: bool) -> Line {
    let (entries, list) = held(stored);
    let (outcome, notes) = match allow_dropped || (entries, list) == (0, 0) {
        true => (Outcome::Dropped, Vec::new()),
        false => {
            let remedy = "leave its state behind by `--allow-dropped-state`; or, if it was renamed, give the new one";
            let id = &stored.id;
            (Outcome::Refused, vec!["the job has no such operator any more".to_owned(), format!("{remedy} `uid: {}`", uid(id))])
        }
    };
    Line { id: stored.id.clone(), kind: stored.kind.clone(), entries, list, outcome, changes: Vec::new(), notes }
}

/// An id as a job file has it.
fn uid(id: &OperatorId) -> &str {
    id.as_str().strip_prefix("sinks.").unwrap_or(id.as_str())
}

/// Entries of keyed state and pieces of operator state.
fn held(stored: &OperatorState) -> (u64, usize) {
    stored.parts.iter().fold((0, 0), |(entries, list), part: &Part| (entries + part.entries, list + part.list.len()))
}

impl Verdict {
    /// What somebody should know who goes on: what is migrated, and what is warned of.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        let remarks = |line: &Line| -> Vec<String> {
            let migrated = (line.outcome == Outcome::Migrated).then(|| line.becomes());
            migrated.into_iter().chain(line.notes.iter().cloned()).map(|remark| format!("{}: {remark}", line.id)).collect()
        };
        self.lines.iter().flat_map(remarks)
    }

    /// Whether the restore can go on.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        self.key_groups.is_none() && self.lines.iter().all(|line| line.outcome != Outcome::Refused)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 4]> = self.lines.iter().map(|l| [l.id.to_string(), l.kind.clone(), l.holds(), l.becomes()]).collect();
        let header = ["operator", "kind", "stored", "verdict"];
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(header.get(column).map(|cell| cell.len())).max().unwrap_or(0)
        };
        let (id, kind, held) = (width(0), width(1), width(2));
        let [a, b, c, d] = header;
        writeln!(f, "{a:id$}  {b:kind$}  {c:held$}  {d}")?;
        for ([a, b, c, d], line) in rows.iter().zip(&self.lines) {
            writeln!(f, "{a:id$}  {b:kind$}  {c:held$}  {d}")?;
            for note in &line.notes {
                writeln!(f, "  {note}")?;
            }
        }
        if let Some((stored, declared)) = self.key_groups {
            writeln!(f, "The state is cut into {stored} key groups, the job into {declared}: they must be the same.")?;
        }
        match self.can_go_on() {
            true => f.write_str("The restore can go on."),
            false => f.write_str("The restore can't go on."),
        }
    }
}

impl Line {
    /// The outcome, and what changes.
    fn becomes(&self) -> String {
        if self.changes.is_empty() { self.outcome.to_string() } else { format!("{}: {}", self.outcome, self.changes.join(", ")) }
    }

    fn holds(&self) -> String {
        let some = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {many}")),
        };
        let parts = [some(self.entries, "entry", "entries"), some(self.list as u64, "item", "items")];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        if text.is_empty() { "-".to_owned() } else { text }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restored => "restored",
            Self::Migrated => "migrated",
            Self::New => "new",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        })
    }
}

#[cfg(test)]
mod tests;
