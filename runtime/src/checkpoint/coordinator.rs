//! Decides which checkpoints are in progress, who has reported, and what is complete. Pure: facts in, decisions out.
//!
//! A member is one instance of an operator that keeps or writes something. It reports once per checkpoint, when what it kept is durable. A
//! member whose input has ended reports a last time, and that report stands for it in all later checkpoints. When all members have ended,
//! their last reports make up the final checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_checkpoints::{Epoch, FileRef};

use crate::graph::NodeId;

/// One instance of an operator, given by the operator and the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) node: NodeId,
    pub(crate) worker: usize,
}

/// What to take at the end of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plan {
    /// A checkpoint. It shares files with its neighbours and is deleted when newer ones have replaced it.
    Checkpoint,
    /// A savepoint in this directory or URL.
    Savepoint(String),
}

/// What a member kept at the end of an epoch. It is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    #[serde(with = "texts")]
    pub(crate) list: Vec<serde_json::Value>,
    /// The files that belong to items of the list, by their index in it.
    pub(crate) files: BTreeMap<usize, FileRef>,
    pub(crate) rows: Vec<FileRef>,
    pub(crate) db: Vec<FileRef>,
    pub(crate) entries: u64,
    /// Bytes that had to be newly stored.
    pub(crate) stored: u64,
    /// The time from the barrier until it was durable.
    pub(crate) took: Duration,
}

/// JSON as texts, because not every format can hold a value of any shape.
mod texts {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(list: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| serde_json::from_str(text).map_err(D::Error::custom)).collect()
    }
}

/// A checkpoint for which some members have not reported.
#[derive(Clone, Debug)]
struct Pending {
    plan: Plan,
    begun: Duration,
    reports: BTreeMap<Member, Report>,
}

/// A checkpoint for which all members have reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complete {
    pub(crate) epoch: Epoch,
    pub(crate) plan: Plan,
    pub(crate) begun: Duration,
    pub(crate) reports: BTreeMap<Member, Report>,
}

/// How often checkpoints are taken, and how far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From the start of one checkpoint to the start of the next.
    pub(crate) every: Duration,
    /// The shortest time from the end of one checkpoint to the start of the next.
    pub(crate) pause: Duration,
    /// The time after which an incomplete checkpoint is given up.
    pub(crate) timeout: Duration,
}

/// What the failure of a checkpoint means for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It was already reported by another member, or nobody waits for the checkpoint any more.
    Already,
    /// The job goes on.
    Bearable,
    /// The job fails, too.
    Fatal,
}

/// The state of all checkpoints of a run. Times are measured from its start.
#[derive(Debug)]
pub(crate) struct Coordinator {
    members: BTreeSet<Member>,
    pending: BTreeMap<Epoch, Pending>,
    /// Checkpoints for which all members have reported but which are not published yet.
    publishing: BTreeMap<Epoch, Plan>,
    /// The first epoch from which on the job needs every checkpoint in order to stop well.
    needed: Option<Epoch>,
    /// The last reports of members whose input has ended.
    last: BTreeMap<Member, (Epoch, Report)>,
    began: Option<Duration>,
    ended: Option<Duration>,
    failed_in_a_row: u32,
    /// Whether all members have ended.
    over: bool,
}

impl Coordinator {
    pub(crate) fn new(members: BTreeSet<Member>) -> Self {
        Self {
            members,
            pending: BTreeMap::new(),
            publishing: BTreeMap::new(),
            needed: None,
            last: BTreeMap::new(),
            began: None,
            ended: None,
            failed_in_a_row: 0,
            over: false,
        }
    }

    /// Whether it is time for the next checkpoint. There is only one at a time.
    pub(crate) fn due(&self, pace: Pace, now: Duration) -> bool {
        let since = |then: Option<Duration>| now.saturating_sub(then.unwrap_or_default());
        self.idle() && since(self.began) >= pace.every && (self.ended.is_none() || since(self.ended) >= pace.pause)
    }

    /// The time until a checkpoint is [`due`](Self::due), or one in progress is [`overdue`](Self::overdue).
    pub(crate) fn wait(&self, pace: Pace, now: Duration) -> Duration {
        let at = match self.pending.values().map(|pending| pending.begun).min() {
            // Overdue means strictly longer than the timeout.
            Some(begun) => begun.saturating_add(pace.timeout).saturating_add(Duration::from_millis(1)),
            None => {
                let paused = self.ended.map_or(Duration::ZERO, |ended| ended.saturating_add(pace.pause));
                self.began.unwrap_or_default().saturating_add(pace.every).max(paused)
            }
        };
        at.saturating_sub(now)
    }

    /// Whether no checkpoint is in progress.
    pub(crate) fn idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Begins a checkpoint: the barrier behind `epoch` is injected into the streams.
    pub(crate) fn begin(&mut self, epoch: Epoch, plan: Plan, now: Duration) -> Option<Complete> {
        self.began = Some(now);
        self.pending.insert(epoch, Pending { plan, begun: now, reports: BTreeMap::new() });
        // All members may have ended before the barrier.
        self.complete(epoch, now)
    }

    /// The job stops, and everything begun from `epoch` on must succeed for it to end well.
    pub(crate) fn need(&mut self, epoch: Epoch) {
        self.needed.get_or_insert(epoch);
    }

    /// Whether everything begun has been published or has failed.
    pub(crate) fn settled(&self) -> bool {
        self.pending.is_empty() && self.publishing.is_empty()
    }

    /// Whether what is taken at the end of this epoch is neither published nor has failed.
    pub(crate) fn takes(&self, epoch: Epoch) -> bool {
        self.pending.contains_key(&epoch) || self.publishing.contains_key(&epoch)
    }

    /// Takes a member's report. `last`: its input has ended. Returns what is now complete.
    pub(crate) fn report(&mut self, member: Member, epoch: Epoch, report: Report, last: bool, now: Duration) -> Vec<Complete> {
        if last {
            self.last.insert(member, (epoch, report));
        } else if let Some(pending) = self.pending.get_mut(&epoch) {
            pending.reports.insert(member, report);
        }
        if let Some(end) = self.end(now) {
            return vec![end];
        }
        let epochs: Vec<Epoch> = self.pending.keys().copied().collect();
        epochs.into_iter().filter_map(|epoch| self.complete(epoch, now)).collect()
    }

    /// Whether any member that had something to do has ended. A source with a single reader has nothing to do on the other workers.
    pub(crate) fn any_ended(&self) -> bool {
        let had_nothing = |report: &Report| report.list.is_empty() && report.rows.is_empty() && report.db.is_empty();
        !self.last.values().all(|(_, report)| had_nothing(report))
    }

    fn complete(&mut self, epoch: Epoch, now: Duration) -> Option<Complete> {
        let Self { members, pending, last, .. } = self;
        let reported = |member: &Member| {
            let ended = || last.get(member).is_some_and(|(ended, _)| *ended <= epoch);
            pending.get(&epoch).is_some_and(|pending| pending.reports.contains_key(member) || ended())
        };
        if !members.iter().all(reported) {
            return None;
        }
        let Pending { plan, begun, mut reports } = pending.remove(&epoch)?;
        for (member, (_, report)) in last.iter() {
            reports.entry(*member).or_insert_with(|| report.clone());
        }
        Some(self.publish(Complete { epoch, plan, begun, reports }, now))
    }

    /// The final checkpoint, once all members have ended.
    fn end(&mut self, now: Duration) -> Option<Complete> {
        if self.last.len() < self.members.len() || self.members.is_empty() {
            return None;
        }
        let epoch = self.last.values().map(|(epoch, _)| *epoch).max()?;
        let reports = std::mem::take(&mut self.last).into_iter().map(|(member, (_, report))| (member, report)).collect();
        self.over = true;
        // Nobody will report for these any more.
        self.pending.clear();
        Some(self.publish(Complete { epoch, plan: Plan::Checkpoint, begun: now, reports }, now))
    }

    fn publish(&mut self, complete: Complete, now: Duration) -> Complete {
        self.ended = Some(now);
        self.publishing.insert(complete.epoch, complete.plan.clone());
        complete
    }

    /// A checkpoint failed. `last`: it was to hold what a member kept at the end of its input. Up to `bearable` checkpoints may fail in a
    /// row. Savepoints don't count, because whoever asked is told.
    pub(crate) fn fail(&mut self, epoch: Epoch, last: bool, bearable: u32, now: Duration) -> Failed {
        let plan = self.pending.remove(&epoch).map(|pending| pending.plan).or_else(|| self.publishing.remove(&epoch));
        let needed = last || self.over || self.needed.is_some_and(|needed| epoch >= needed);
        if plan == Some(Plan::Checkpoint) {
            self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        }
        if plan.is_some() {
            self.ended = Some(now);
        }
        match plan {
            _ if needed || self.failed_in_a_row > bearable => Failed::Fatal,
            Some(_) => Failed::Bearable,
            None => Failed::Already,
        }
    }

    /// Called when a checkpoint was published.
    pub(crate) fn published(&mut self, epoch: Epoch) {
        if self.publishing.remove(&epoch) == Some(Plan::Checkpoint) {
            self.failed_in_a_row = 0;
        }
    }

    /// The checkpoints that have taken too long.
    pub(crate) fn overdue(&self, pace: Pace, now: Duration) -> Vec<Epoch> {
        let late = self.pending.iter().filter(|(_, pending)| now.saturating_sub(pending.begun) > pace.timeout);
        late.map(|(epoch, _)| *epoch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { every: Duration::from_secs(10), pause: Duration::from_secs(2), timeout: Duration::from_secs(60) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn member(node: usize, worker: usize) -> Member {
        Member { node: NodeId(node), worker }
    }

    fn of(entries: u64) -> Report {
        Report { entries, ..Report::default() }
    }

    fn coordinator(members: usize) -> Coordinator {
        Coordinator::new((0..members).map(|node| member(node, 0)).collect())
    }

    fn entries(complete: &Complete) -> Vec<u64> {
        complete.reports.values().map(|report| report.entries).collect()
    }

    #[test]
    fn complete_when_all_have_reported() {
        let mut c = coordinator(2);
        assert_eq!(c.begin(Epoch(3), Plan::Checkpoint, at(1)), None);
        assert!(c.takes(Epoch(3)) && !c.takes(Epoch(4)));
        assert_eq!(c.report(member(0, 0), Epoch(3), of(1), false, at(2)), []);
        let complete = c.report(member(1, 0), Epoch(3), of(2), false, at(3));
        assert_eq!(complete.len(), 1);
        assert_eq!((complete[0].epoch, complete[0].begun, entries(&complete[0])), (Epoch(3), at(1), vec![1, 2]));
        assert!(c.idle());
    }

    #[test]
    fn one_at_a_time_at_their_pace() {
        let mut c = coordinator(1);
        assert!(!c.due(PACE, at(9)) && c.due(PACE, at(10)));
        assert_eq!((c.wait(PACE, at(7)), c.wait(PACE, at(11))), (at(3), at(0)));
        c.begin(Epoch(0), Plan::Checkpoint, at(10));
        let overdue = at(20) + c.wait(PACE, at(20));
        assert_eq!(c.overdue(PACE, overdue), [Epoch(0)], "nobody looks before");
        assert!(!c.due(PACE, at(30)), "one is under way");
        c.report(member(0, 0), Epoch(0), of(0), false, at(30));
        assert!(!c.due(PACE, at(31)), "the pause");
        assert_eq!(c.wait(PACE, at(31)), at(1));
        assert!(c.due(PACE, at(32)));
    }

    #[test]
    fn the_last_report_of_a_member_stands_for_it_from_then_on() {
        let mut c = coordinator(2);
        c.begin(Epoch(1), Plan::Checkpoint, at(0));
        assert_eq!(c.report(member(0, 0), Epoch(2), of(7), true, at(1)), [], "of a later epoch: not part of this one");
        assert_eq!(c.report(member(1, 0), Epoch(1), of(1), false, at(1)), []);
        assert_eq!(c.report(member(0, 0), Epoch(1), of(6), false, at(1)).iter().map(entries).collect::<Vec<_>>(), [vec![6, 1]]);
        c.begin(Epoch(2), Plan::Checkpoint, at(2));
        assert_eq!(c.report(member(1, 0), Epoch(2), of(2), false, at(3)).iter().map(entries).collect::<Vec<_>>(), [vec![7, 2]]);
    }

    #[test]
    fn when_all_have_ended_that_is_the_last_checkpoint() {
        let mut c = coordinator(2);
        c.begin(Epoch(4), Plan::Checkpoint, at(0));
        assert_eq!(c.report(member(0, 0), Epoch(2), of(1), true, at(1)), []);
        let complete = c.report(member(1, 0), Epoch(5), of(2), true, at(1));
        assert_eq!(complete.iter().map(|c| (c.epoch, entries(c))).collect::<Vec<_>>(), [(Epoch(5), vec![1, 2])]);
        assert!(c.idle());
    }

    #[test]
    fn too_many_failures_in_a_row_are_too_many() {
        let mut c = coordinator(1);
        c.begin(Epoch(0), Plan::Checkpoint, at(0));
        assert_eq!(c.overdue(PACE, at(60)), []);
        assert_eq!(c.overdue(PACE, at(61)), [Epoch(0)]);
        assert_eq!(c.fail(Epoch(0), false, 1, at(61)), Failed::Bearable);
        assert_eq!(c.report(member(0, 0), Epoch(0), of(0), false, at(62)), [], "too late");
        c.begin(Epoch(1), Plan::Checkpoint, at(71));
        c.report(member(0, 0), Epoch(1), of(0), false, at(72));
        assert!(!c.settled() && c.takes(Epoch(1)));
        c.published(Epoch(1));
        assert!(c.settled() && !c.takes(Epoch(1)));
        for (epoch, means) in [(2, Failed::Bearable), (3, Failed::Fatal)] {
            c.begin(Epoch(epoch), Plan::Checkpoint, at(80));
            assert_eq!(c.fail(Epoch(epoch), false, 1, at(81)), means);
        }
    }

    #[test]
    fn a_checkpoint_fails_once_however_many_members_say_so() {
        let mut c = coordinator(3);
        for epoch in [0, 1].map(Epoch) {
            c.begin(epoch, Plan::Checkpoint, at(0));
            assert_eq!(c.fail(epoch, false, 2, at(1)), Failed::Bearable);
            assert_eq!(c.fail(epoch, false, 2, at(1)), Failed::Already);
        }
    }

    #[test]
    fn savepoints_that_fail_cost_nothing_but_for_those_of_a_stop() {
        let mut c = coordinator(1);
        let savepoint = || Plan::Savepoint("there".to_owned());
        for epoch in (0..9).map(Epoch) {
            c.begin(epoch, savepoint(), at(0));
            assert_eq!(c.fail(epoch, false, 1, at(1)), Failed::Bearable);
        }
        c.begin(Epoch(9), savepoint(), at(0));
        c.begin(Epoch(10), savepoint(), at(0));
        c.need(Epoch(10));
        assert_eq!(c.fail(Epoch(9), false, 1, at(1)), Failed::Bearable, "the stop does not rely on it");
        c.report(member(0, 0), Epoch(10), of(0), false, at(1));
        assert_eq!(c.fail(Epoch(10), false, 1, at(1)), Failed::Fatal, "it could not be published");
    }
}
