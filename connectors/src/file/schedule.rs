//! Decides in which order the files of one worker are read, and when each is announced to the operator. Pure: no I/O.
//!
//! The operator knows a split from its first batch to its last. Its watermark `W`, which never goes back, is the
//! least `newest - max_delay - 1` of the splits it knows, where `newest` is the greatest time that a split has
//! delivered so far. A known split that has delivered nothing yet holds `W` back. So a file must not stay unknown for
//! too long, or `W` would pass its records. Nor may it be announced empty at the start, or `W` would stand still
//! until its turn comes.
//!
//! Therefore each file's first time is looked up in advance and counts as its `newest` until the file is read, and
//!
//! 1. the file read next is always the one with the least `newest`;
//! 2. a batch that brings a time past the start of a file still unknown is preceded by the first record of that file;
//! 3. so is the batch that ends the only known file: if it knew none, the operator would consider the input ended;
//! 4. if that batch is the first of its own file, an empty batch of that file goes first: the file is the one that
//!    starts earliest.
//!
//! **No record is late.** Take a record `r` of file `g` whose records lie at most `max_delay` behind the newest
//! before them. Once `g` is known, `W <= newest(g) - max_delay - 1 < r`. Until then, no batch sent has brought a time
//! past `start(g)` (2), so every known split had `newest <= start(g)`, and one was always known (3):
//! `W <= start(g) - max_delay - 1`, and `r`, the first record, is `start(g)`.
//!
//! **Nothing stalls.** Every known split has delivered a record (or, by (4), is about to), so `W` is never held back;
//! and by (1) the least `newest`, which `W` follows, is that of the file read next.
//!
//! A file without a good record near its start counts as starting at the least possible time: it is read first, and
//! holds `W` back meanwhile.

/// The index of a file among those of its worker.
pub(crate) type Index = usize;

/// The state of all files of a worker.
pub(crate) struct Schedule {
    files: Vec<State>,
}

#[derive(Clone, Copy)]
struct State {
    /// The greatest time delivered so far, or where the file starts.
    newest: i64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unknown,
    Known,
    Ended,
}

impl Schedule {
    /// A schedule for files with these start times. Without event time they are all equal, and the files are read in
    /// order.
    pub(crate) fn new(starts: impl IntoIterator<Item = i64>) -> Self {
        Self { files: starts.into_iter().map(|newest| State { newest, stage: Stage::Unknown }).collect() }
    }

    /// The file to read next.
    pub(crate) fn next(&self) -> Option<Index> {
        self.least(|_, f| f.stage != Stage::Ended)
    }

    /// What to send before a batch of `file` that brings it to `newest` and, if `last`, ends it: the first record of
    /// another file, or, if the result is `file` itself, an empty batch. Call this again until it returns `None`.
    pub(crate) fn before(&self, file: Index, newest: i64, last: bool) -> Option<Index> {
        let ends_alone = last && !self.files.iter().enumerate().any(|(i, f)| i != file && f.stage == Stage::Known);
        let other = self.least(|i, f| i != file && f.stage == Stage::Unknown && (f.newest < newest || ends_alone))?;
        Some(if self.files[file].stage == Stage::Unknown { file } else { other })
    }

    /// Records that a batch of `file` is sent, which brings it to `newest` and, if `last`, ends it.
    pub(crate) fn sent(&mut self, file: Index, newest: i64, last: bool) {
        let state = &mut self.files[file];
        state.newest = state.newest.max(newest);
        state.stage = if last { Stage::Ended } else { Stage::Known };
    }

    fn least(&self, condition: impl Fn(Index, &State) -> bool) -> Option<Index> {
        let files = self.files.iter().enumerate().filter(|(i, f)| condition(*i, f));
        files.min_by_key(|(i, f)| (f.newest, *i)).map(|(i, _)| i)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    /// Simulates the operator's rule.
    struct Operator {
        known: BTreeMap<Index, Option<i64>>,
        watermark: i64,
        max_delay: i64,
    }

    impl Operator {
        fn take(&mut self, file: Index, times: &[i64], last: bool) {
            let newest = self.known.entry(file).or_default();
            *newest = times.iter().copied().chain(*newest).max();
            if last {
                self.known.remove(&file);
            }
            let least = self.known.values().map(|newest| newest.map_or(i64::MIN, |t| t - self.max_delay - 1)).min();
            self.watermark = self.watermark.max(least.unwrap_or(i64::MAX));
        }
    }

    /// Files as lists of times, each at most `max_delay` behind the newest before it.
    fn files() -> impl Strategy<Value = (i64, Vec<Vec<i64>>)> {
        let file = |max_delay| {
            let steps = proptest::collection::vec((0..30i64, 0..=max_delay), 0..40);
            (0..200i64, steps).prop_map(|(start, steps)| {
                let mut newest = start;
                let time = |(step, behind)| {
                    let time = newest + step - behind;
                    newest = newest.max(time);
                    time
                };
                steps.into_iter().map(time).collect()
            })
        };
        (0..20i64).prop_flat_map(move |max_delay| (Just(max_delay), proptest::collection::vec(file(max_delay), 1..6)))
    }

    proptest! {
        #[test]
        fn no_record_is_late_nothing_stalls_and_all_is_read((max_delay, files) in files(), size in 1..8usize) {
            let mut schedule = Schedule::new(files.iter().map(|f| f.first().copied().unwrap_or(i64::MIN)));
            let mut operator = Operator { known: BTreeMap::new(), watermark: i64::MIN, max_delay };
            let mut at = vec![0; files.len()];
            // The next `size` times of a file, and whether they are its last.
            let mut read = |file: Index, size: usize| {
                let from = at[file];
                at[file] = (from + size).min(files[file].len());
                (&files[file][from..at[file]], from + size > files[file].len())
            };
            let mut ended = 0;
            while let Some(file) = schedule.next() {
                let (batch, last) = read(file, size);
                let mut sends = vec![(file, batch, last)];
                let newest = batch.iter().copied().max().unwrap_or(i64::MIN);
                while let Some(other) = schedule.before(file, newest, last) {
                    let (first, over) = if other == file { (&[][..], false) } else { read(other, 1) };
                    schedule.sent(other, first.first().copied().unwrap_or(i64::MIN), over);
                    sends.insert(sends.len() - 1, (other, first, over));
                }
                schedule.sent(file, newest, last);
                for (file, batch, last) in sends {
                    prop_assert!(batch.iter().all(|t| *t > operator.watermark), "{:?} after {}", batch, operator.watermark);
                    operator.take(file, batch, last);
                    ended += usize::from(last);
                    prop_assert_eq!(operator.watermark == i64::MAX, ended == files.len());
                }
                if let Some(next) = schedule.next() {
                    let least = schedule.files[next].newest;
                    prop_assert!(least == i64::MIN || operator.watermark >= least - max_delay - 1);
                }
            }
            prop_assert!(files.iter().zip(&at).all(|(f, at)| f.len() == *at));
        }
    }

    #[test]
    fn daily_files_are_read_one_after_the_other() {
        let mut schedule = Schedule::new([200, 100]);
        assert_eq!(schedule.next(), Some(1));
        assert_eq!(schedule.before(1, 150, false), None);
        schedule.sent(1, 150, false);
        assert_eq!(schedule.next(), Some(1));
        // This ends the only known file, so the next one must be announced first.
        assert_eq!(schedule.before(1, 199, true), Some(0));
        schedule.sent(0, 200, false);
        assert_eq!(schedule.before(1, 199, true), None);
        schedule.sent(1, 199, true);
        assert_eq!(schedule.before(0, 300, true), None);
        schedule.sent(0, 300, true);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn files_are_known_before_another_comes_past_their_start() {
        let mut schedule = Schedule::new([100, 150, 151, 120]);
        assert_eq!(schedule.before(0, 151, false), Some(0));
        schedule.sent(0, 100, false);
        assert_eq!(schedule.before(0, 151, false), Some(3));
        schedule.sent(3, 120, false);
        assert_eq!(schedule.before(0, 151, false), Some(1));
        schedule.sent(1, 150, false);
        assert_eq!(schedule.before(0, 151, false), None);
        schedule.sent(0, 151, false);
        assert_eq!(schedule.next(), Some(3));
    }
}
