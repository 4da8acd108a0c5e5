use std::convert::Infallible;

use super::*;
use proptest::prelude::*;

type Log = std::rc::Rc<std::cell::RefCell<Vec<Step<u32>>>>;

fn log() -> (Log, impl FnMut(Step<u32>) -> Result<(), ()>) {
    let log = Log::default();
    let write = std::rc::Rc::clone(&log);
    (log, move |step| {
        write.borrow_mut().push(step);
        Ok(())
    })
}

fn time(epoch: u32, watermark: i64) -> Time {
    Time { epoch: Epoch(epoch), tick: 0, watermark: Watermark(watermark) }
}

fn seal(epoch: u32) -> Step<u32> {
    Step::Seal { epoch: Epoch(epoch), last: false }
}

#[test]
fn one_sender_advances_before_the_batch_and_several_wait_for_the_frontier() {
    for (senders, expected) in
        [(Senders::One, vec![Step::Advance(Watermark(5)), Step::Process(1)]), (Senders::Several, vec![Step::Process(1)])]
    {
        let (log, mut act) = log();
        Align::new(Mode::ExactlyOnce, senders, Epoch(0)).arrive(time(0, 5), 1, &mut act).unwrap();
        assert_eq!(*log.borrow(), expected);
    }
}

#[test]
fn a_stashed_batch_holds_the_watermark_back_until_it_is_replayed() {
    let (log, mut act) = log();
    let mut align = Align::new(Mode::ExactlyOnce, Senders::Several, Epoch(0));
    align.arrive(time(1, 80), 1, &mut act).unwrap();
    align.progress(Progress::at(&[time(0, 300), time(1, 300)]), |_| None, &mut act).unwrap();
    assert_eq!(*log.borrow(), [Step::Advance(Watermark(80))]);
    align.progress(Progress::at(&[time(1, 300)]), |_| None, &mut act).unwrap();
    assert_eq!(log.borrow()[1..], [seal(0), Step::Process(1), Step::Advance(Watermark(300))]);
}

#[test]
fn what_lies_behind_a_barrier_fires_behind_it() {
    let (log, mut act) = log();
    let mut align = Align::new(Mode::ExactlyOnce, Senders::Several, Epoch(0));
    align.progress(Progress::at(&[time(0, 5)]), |_| None, &mut act).unwrap();
    align.progress(Progress::at(&[time(1, 15)]), |_| None, &mut act).unwrap();
    assert_eq!(*log.borrow(), [Step::Advance(Watermark(5)), seal(0), Step::Advance(Watermark(15))]);
}

#[test]
fn a_source_behind_its_barrier_does_not_take_another_further_than_it_was_at_it() {
    let (log, mut act) = log();
    let mut align = Align::new(Mode::ExactlyOnce, Senders::Several, Epoch(0));
    // One source was at 8 when it injected its barrier and is at 20 now. The other has not reached its own barrier.
    let barrier = |epoch: Epoch| (epoch.0 == 0).then_some(Watermark(8));
    align.progress(Progress::at(&[time(0, 12), time(1, 20)]), barrier, &mut act).unwrap();
    assert_eq!(*log.borrow(), [Step::Advance(Watermark(8))]);
    align.progress(Progress::at(&[time(1, 20)]), barrier, &mut act).unwrap();
    assert_eq!(log.borrow()[1..], [seal(0), Step::Advance(Watermark(20))]);
}

#[test]
fn what_sources_had_at_the_barrier_is_reached_before_the_seal() {
    // The second never saw a frontier within the epoch: it seals with the same watermark nevertheless.
    for seen in [Some(time(0, 6)), None] {
        let (log, mut act) = log();
        let mut align = Align::new(Mode::ExactlyOnce, Senders::Several, Epoch(0));
        let barrier = |epoch: Epoch| (epoch.0 == 0).then_some(Watermark(8));
        if let Some(frontier) = seen {
            align.progress(Progress::at(&[frontier]), |_| None, &mut act).unwrap();
        }
        align.progress(Progress::at(&[time(1, 20)]), barrier, &mut act).unwrap();
        assert!(log.borrow().ends_with(&[Step::Advance(Watermark(8)), seal(0), Step::Advance(Watermark(20))]), "{:?}", log.borrow());
    }
}

#[test]
fn at_least_once_stashes_nothing() {
    let (log, mut act) = log();
    let mut align = Align::new(Mode::AtLeastOnce, Senders::Several, Epoch(0));
    align.arrive(time(1, 80), 1, &mut act).unwrap();
    assert_eq!(*log.borrow(), [Step::Process(1)]);
}

#[test]
fn the_end_of_input_seals_once_and_releases_the_stash() {
    let (log, mut act) = log();
    let mut align = Align::new(Mode::ExactlyOnce, Senders::Several, Epoch(0));
    align.arrive(time(2, 0), 7, &mut act).unwrap();
    align.progress(Progress::ENDED, |_| None, &mut act).unwrap();
    align.progress(Progress::ENDED, |_| None, &mut act).unwrap();
    let expected = [seal(0), seal(1), Step::Process(7), Step::Advance(Watermark::END), Step::Seal { epoch: Epoch(2), last: true }];
    assert_eq!(*log.borrow(), expected);
}

/// What a source does, in order.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Sends a batch whose oldest record is `slack` after the source's watermark.
    Send {
        slack: i64,
    },
    Watermark(i64),
    Barrier,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1i64..20).prop_map(|slack| Act::Send { slack }),
        3 => (1i64..15).prop_map(Act::Watermark),
        1 => Just(Act::Barrier),
    ];
    proptest::collection::vec(act, 0..30)
}

/// A batch: its source, its number and the time of its oldest record.
type Batch = (usize, u32, i64);

/// A source: its remaining actions, the time it holds, and its channel to the operator.
struct Sender {
    acts: std::vec::IntoIter<Act>,
    now: Option<Time>,
    channel: VecDeque<(Time, Batch)>,
    /// The epoch of each batch it has sent.
    sent: Vec<Epoch>,
    /// Its watermark at the barrier behind each epoch.
    barriers: Vec<Watermark>,
}

impl Sender {
    fn new(acts: Vec<Act>) -> Self {
        Self { acts: acts.into_iter(), now: Some(time(0, -100)), channel: VecDeque::new(), sent: Vec::new(), barriers: Vec::new() }
    }

    /// Does the next action. Ends if there is none and it may.
    fn act(&mut self, id: usize, may_end: bool) {
        match (self.acts.next(), self.now) {
            (Some(Act::Send { slack }), Some(now)) => {
                self.channel.push_back((now, (id, self.sent.len() as u32, now.watermark.0 + slack)));
                self.sent.push(now.epoch);
            }
            (Some(Act::Watermark(by)), Some(now)) => self.now = Some(Time { watermark: Watermark(now.watermark.0 + by), ..now }),
            (Some(Act::Barrier), Some(now)) => {
                self.barriers.push(now.watermark);
                self.now = Some(Time { epoch: now.epoch.next(), ..now });
            }
            (None, _) if may_end => self.now = None,
            _ => {}
        }
    }
}

/// The lowest watermark that any source had at the barrier behind this epoch.
fn at_barrier(sources: &[Sender], epoch: Epoch) -> Option<Watermark> {
    sources.iter().filter_map(|source| source.barriers.get(epoch.0 as usize).copied()).min()
}

/// What the frontier consists of: what sources hold, and what is in channels.
fn frontier(sources: &[Sender]) -> Progress {
    let times: Vec<Time> = sources.iter().flat_map(|s| s.now.into_iter().chain(s.channel.iter().map(|c| c.0))).collect();
    Progress::at(&times)
}

/// What the operator has come to, by the steps it was told to do, and which of them broke a rule.
struct Watcher {
    epoch: Epoch,
    watermark: Watermark,
    ended: bool,
    /// How many batches of each source it has processed.
    processed: Vec<u32>,
    violations: Vec<String>,
}

impl Watcher {
    fn new(sources: usize) -> Self {
        Self { epoch: Epoch(0), watermark: Watermark::NONE, ended: false, processed: vec![0; sources], violations: Vec::new() }
    }

    fn check(&mut self, step: &Step<Batch>, sources: &[Sender]) -> Result<(), Infallible> {
        match *step {
            Step::Advance(to) => {
                let watermark = self.watermark;
                self.rule(to > watermark, || format!("{to} after {watermark}"));
                self.watermark = to;
            }
            Step::Process((from, number, oldest)) => {
                let (epoch, watermark, next) = (self.epoch, self.watermark, self.processed[from]);
                self.rule(sources[from].sent[number as usize] == epoch, || format!("record of another epoch in {epoch}"));
                self.rule(number == next, || format!("record {number} of {from} instead of {next}"));
                self.rule(oldest > watermark.0, || format!("record at {oldest} late at {watermark}"));
                self.processed[from] += 1;
            }
            Step::Seal { epoch: sealed, .. } => {
                let (epoch, watermark) = (self.epoch, self.watermark);
                let reached = at_barrier(sources, sealed);
                self.rule(reached.is_none_or(|reached| reached >= watermark), || {
                    format!("{watermark} at the seal of {sealed}, of which a source had come to {reached:?}")
                });
                self.rule(sealed == epoch && !self.ended, || format!("seal of {sealed} in {epoch}"));
                self.epoch = sealed.next();
            }
        }
        Ok(())
    }

    fn rule(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(violation());
        }
    }
}

proptest! {
    /// For any interleaving of sources, deliveries and checks of the frontier: every record is processed exactly once, in the order of its
    /// sender, between the seals of its epoch, and before the watermark has reached it. Watermarks and seals only go forward. At a seal,
    /// the watermark is not past the watermark that any source had at its barrier.
    #[test]
    fn any_interleaving_keeps_the_rules(
        sources in proptest::collection::vec(acts(), 1..4),
        schedule in proptest::collection::vec((0usize..4, 0u8..3), 0..200),
    ) {
        let senders = if sources.len() == 1 { Senders::One } else { Senders::Several };
        let total: usize = sources.iter().flatten().filter(|a| matches!(a, Act::Send { .. })).count();
        let mut sources: Vec<Sender> = sources.into_iter().map(Sender::new).collect();
        let mut align = Align::new(Mode::ExactlyOnce, senders, Epoch(0));
        let mut watcher = Watcher::new(sources.len());
        let drained = schedule.len();
        let finish = (0..10_000).map(|i| (i % 4, (i / 4 % 3) as u8));
        for (step, (who, what)) in schedule.into_iter().chain(finish).enumerate() {
            let who = who % sources.len();
            match what {
                // Sources end only after the random schedule.
                0 => sources[who].act(who, step > drained),
                1 => if let Some((time, batch)) = sources[who].channel.pop_front() {
                    align.arrive(time, batch, &mut |step| watcher.check(&step, &sources)).unwrap();
                },
                _ => {
                    let progress = frontier(&sources);
                    if !(watcher.ended && progress.ended()) {
                        let barrier = |epoch| at_barrier(&sources, epoch);
                        align.progress(progress, barrier, &mut |step| watcher.check(&step, &sources)).unwrap();
                    }
                    watcher.ended |= progress.ended();
                }
            }
            prop_assert!(watcher.violations.is_empty(), "{:?}", watcher.violations);
        }
        prop_assert!(watcher.ended);
        prop_assert_eq!(watcher.processed.iter().sum::<u32>() as usize, total);
        prop_assert_eq!(watcher.watermark, Watermark::END);
    }
}
