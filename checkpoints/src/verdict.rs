//! Whether a job can go on from a checkpoint or savepoint: judged before anything runs.

use std::fmt;

use crate::{Manifest, OperatorId, OperatorState, Part};

/// An operator of the job that is to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The operator.
    pub id: OperatorId,
    /// What it does, such as `window`.
    pub kind: String,
    /// What it is to the job: `source`, `operator` or `sink`.
    pub role: String,
    /// Its keyed states.
    pub states: Vec<DeclaredState>,
}

/// A keyed state of a declared operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredState {
    /// Its name.
    pub name: String,
    /// What its stored bytes mean.
    pub schema: String,
}

/// What becomes of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on with what it kept.
    Restored,
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
    let line = |outcome, notes| {
        let (entries, list) = stored.map_or((0, 0), held);
        Line { id: declared.id.clone(), kind: declared.kind.clone(), entries, list, outcome, notes }
    };
    // What kept nothing can be anything now.
    let Some(stored) = stored.filter(|stored| held(stored) != (0, 0)) else {
        return line(if stored.is_some() { Outcome::Restored } else { Outcome::New }, Vec::new());
    };
    if (&stored.kind, &stored.role) != (&declared.kind, &declared.role) {
        let note =
            format!("it was a {} ({}), now it is a {} ({}): give it another name", stored.kind, stored.role, declared.kind, declared.role);
        return line(Outcome::Refused, vec![note]);
    }
    let mut refused = false;
    let mut notes = Vec::new();
    for state in &stored.states {
        match declared.states.iter().find(|now| now.name == state.name) {
            Some(now) if now.schema == state.schema => {}
            Some(now) => {
                refused = true;
                notes.push(format!("state `{}` is stored as {} but declared as {}", state.name, state.schema, now.schema));
            }
            None if allow_dropped => notes.push(format!("state `{}` is dropped", state.name)),
            None => {
                refused = true;
                notes.push(format!("state `{}` isn't declared any more, and dropping state isn't allowed", state.name));
            }
        }
    }
    let new = declared.states.iter().filter(|now| stored.states.iter().all(|state| state.name != now.name));
    notes.extend(new.map(|now| format!("state `{}` is new and begins empty", now.name)));
    line(if refused { Outcome::Refused } else { Outcome::Restored }, notes)
}

fn judge_gone(stored: &OperatorState, allow_dropped: bool) -> Line {
    let (entries, list) = held(stored);
    let (outcome, notes) = match allow_dropped || (entries, list) == (0, 0) {
        true => (Outcome::Dropped, Vec::new()),
        false => (Outcome::Refused, vec!["the job has no such operator any more, and dropping state isn't allowed".to_owned()]),
    };
    Line { id: stored.id.clone(), kind: stored.kind.clone(), entries, list, outcome, notes }
}

/// Entries of keyed state and pieces of operator state.
fn held(stored: &OperatorState) -> (u64, usize) {
    stored.parts.iter().fold((0, 0), |(entries, list), part: &Part| (entries + part.entries, list + part.list.len()))
}

impl Verdict {
    /// Whether the restore can go on.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        self.key_groups.is_none() && self.lines.iter().all(|line| line.outcome != Outcome::Refused)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 4]> =
            self.lines.iter().map(|l| [l.id.to_string(), l.kind.clone(), l.holds(), l.outcome.to_string()]).collect();
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
            Self::New => "new",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        })
    }
}

#[cfg(test)]
mod tests;
