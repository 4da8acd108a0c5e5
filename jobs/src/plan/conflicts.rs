//! Finds parts of a job that would take each other's data. Each part itself says what it uses.

use tidegate_runtime::Mode;

use crate::connect::{Claim, Outside, Owner, Written};
use crate::file::{JobFile, Problem, Spanned};

/// A part of a job with something that it uses outside.
struct Claimant<'a> {
    /// The kind of part, as a noun for messages.
    kind: &'static str,
    name: &'a Spanned<String>,
    claim: Claim,
}

/// Everything that the parts of a job use outside.
fn claimants(file: &JobFile) -> Vec<Claimant<'_>> {
    let job = &file.name.value;
    let sources = file.sources.iter().map(|source| {
        let owner = Owner { job, name: &source.name, uid: source.uid.as_ref() };
        ("source", &source.name, source.connector.claims(&owner))
    });
    let tables = file.tables.iter().map(|table| ("table", &table.name, table.connector.claims()));
    let sinks = file.sinks.iter().map(|sink| ("sink", &sink.name, sink.claims(job)));
    let all = sources.chain(tables).chain(sinks);
    all.flat_map(|(kind, name, claims)| claims.into_iter().map(move |claim| Claimant { kind, name, claim })).collect()
}

/// Reports sinks that write the same file, and sinks that write what a source or a table reads.
pub(super) fn of_files(file: &JobFile, outside: &dyn Outside) -> Vec<Problem> {
    let claimants = claimants(file);
    let mut problems = Vec::new();
    let mut written: Vec<(&Spanned<String>, Written<'_>)> = Vec::new();
    for claimant in &claimants {
        let Claim::Writes { path, ending } = &claimant.claim else { continue };
        let new = Written { path: &path.value, ending };
        let reads = |other: &&Claimant<'_>| matches!(&other.claim, Claim::Reads(read) if outside.is_read(&read.value, &new));
        if let Some(Claimant { kind, name, .. }) = claimants.iter().find(reads) {
            problems.push(path.problem(format!("the {kind} `{}` reads this path: it would be emptied before it is read", name.value)));
        }
        if let Some((other, _)) = written.iter().find(|(_, other)| outside.meet(other, &new)) {
            let other = &other.value;
            problems.push(path.problem(format!("the sink `{other}` writes this path too: give one sink both streams, as `from: [a, b]`")));
        }
        written.push((claimant.name, new));
    }
    problems
}

/// Reports streams that ask for more workers than the job has.
pub(super) fn parallelism(file: &JobFile) -> Vec<Problem> {
    let Some(all) = &file.parallelism else { return Vec::new() };
    let asked = file.streams.iter().filter_map(|stream| stream.head.parallelism.as_ref());
    let message = || format!("the job has {} workers, by its own `parallelism`: ask for as many at most", all.value);
    asked.filter(|asked| asked.value > all.value).map(|asked| asked.problem(message())).collect()
}

/// Reports parts that need the same thing for themselves alone. The problem is at the later key that asks for it, or else at the earlier one.
pub(super) fn of_claims(file: &JobFile) -> Vec<Problem> {
    let claimants = claimants(file);
    let mut problems = Vec::new();
    for (number, claimant) in claimants.iter().enumerate() {
        let Claim::Alone { what, at, clash } = &claimant.claim else { continue };
        let mut before = claimants.iter().take(number);
        let same = |other: &&Claimant<'_>| matches!(&other.claim, Claim::Alone { what: known, .. } if known == what);
        let Some(Claimant { name: other, claim: Claim::Alone { at: of_other, .. }, .. }) = before.find(same) else { continue };
        if let Some(at) = at {
            problems.push(at.problem(clash(&other.value)));
        } else if let Some(at) = of_other {
            problems.push(at.problem(clash(&claimant.name.value)));
        }
    }
    problems
}

/// Reports sinks that are to write exactly once in a job whose checkpoints don't support that.
pub(super) fn without_checkpoints(file: &JobFile) -> Vec<Problem> {
    let message = match file.checkpoints.as_ref().map(|checkpoints| checkpoints.mode) {
        Some(Mode::ExactlyOnce) => return Vec::new(),
        Some(Mode::AtLeastOnce) => "`delivery: exactly_once` needs `checkpoints` with `mode: exactly_once`",
        None => "`delivery: exactly_once` needs `checkpoints`: a record is written when one is complete that has it",
    };
    file.sinks.iter().filter_map(|sink| Some(sink.connector.exactly_once()?.problem(message))).collect()
}
