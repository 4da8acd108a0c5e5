//! Lanes: how several readers share one file.
//!
//! The file is cut into stretches of equal length, which are dealt to the lanes in turn. A line belongs to the stretch in which it begins.
//! So the lanes read every line once, without agreeing on anything, and stay close to each other in the file and thus in event time.

use serde::{Deserialize, Serialize};

/// The length of a stretch in bytes. Long enough that what is read past its end does not matter, and short enough that lanes are never more
/// than a few thousand records apart.
const STRETCH: u64 = 1 << 20;

/// Files shorter than this are read by one reader.
const LARGE: u64 = 8 << 20;

/// One of the lanes of a file. Part of the positions in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Lane {
    /// The number of the lane, from 0.
    pub(super) number: u64,
    /// How many there are.
    pub(super) of: u64,
    /// The length of a stretch in bytes.
    pub(super) stretch: u64,
}

/// Where a lane goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leg {
    /// Its next line is the first that begins here or later.
    pub(crate) start: u64,
    /// It ends with the last line that begins before this.
    pub(crate) end: u64,
}

impl Lane {
    /// The lanes for a file of `length` bytes that so many workers read. One worker needs none, and neither does a small file.
    pub(super) fn all(length: u64, workers: usize) -> impl Iterator<Item = Option<Self>> {
        let of = if length >= LARGE && workers > 1 { workers as u64 } else { 0 };
        let none = (of == 0).then_some(None);
        none.into_iter().chain((0..of).map(move |number| Some(Self { number, of, stretch: STRETCH })))
    }

    /// The lanes next to this one, and itself, in order.
    pub(super) fn siblings(self) -> impl Iterator<Item = Self> + Clone {
        (0..self.of).map(move |number| Self { number, ..self })
    }

    /// The leg that contains a line beginning at `offset`, or else the next one.
    pub(crate) fn leg(self, offset: u64) -> Leg {
        let (of, stretch) = (self.of.max(1), self.stretch.max(1));
        let at = offset / stretch;
        let ahead = (self.number + of - at % of) % of;
        let start = if ahead == 0 { offset } else { (at + ahead) * stretch };
        Leg { start, end: (at + ahead + 1) * stretch }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tidegate_rows::Row;
    use tidegate_rows::format::{Conversion, CsvFormat, Layout};
    use tidegate_runtime::Record;

    use super::super::{Position, open};
    use super::*;
    use crate::bad::BadRecords;
    use crate::entry::{Entry, OnBad};
    use crate::split::Pace;
    use proptest::prelude::*;

    /// The lines that a lane reads from a position on: batches, each with the position after it.
    fn read(path: &Path, lane: Option<Lane>, from: Option<&Position>) -> Vec<(Vec<Result<Row, u64>>, Position)> {
        let format = CsvFormat::new(Layout::new([("word", Conversion::String), ("n", Conversion::Int)]));
        let (mut split, mut bad) = (open(0, path, lane, from, &format).unwrap(), BadRecords::new(OnBad::Keep));
        let mut batches = Vec::new();
        loop {
            let Ok(parcel) = split.batch(Pace::First, &mut bad) else { panic!("the file can be read") };
            let line = |record: Record<Entry<Row>>| match record.value {
                Entry::Good(row) => Ok(row),
                Entry::Bad(bad) => Err(bad.line),
            };
            let last = parcel.batch.last;
            batches.push((
                parcel.batch.records.into_iter().map(line).collect(),
                Position::new(path, lane, split.position(), split.newest(), last),
            ));
            if last {
                return batches;
            }
        }
    }

    fn lines(batches: impl IntoIterator<Item = (Vec<Result<Row, u64>>, Position)>) -> Vec<Result<Row, u64>> {
        batches.into_iter().flat_map(|(lines, _)| lines).collect()
    }

    fn sorted(mut lines: Vec<Result<Row, u64>>) -> Vec<Result<Row, u64>> {
        lines.sort_by_key(|line| format!("{line:?}"));
        lines
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// The lanes read what one reader reads, bad lines with their numbers included, and go on from wherever they were stopped.
        #[test]
        fn every_line_is_read_by_one_lane(text in "word,n\n([ab]{0,9},([0-9]|x)\n|\n){0,12}([ab]{0,3},1)?", of in 1..4u64, stretch in 1..24u64) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &text).unwrap();
            let all = sorted(lines(read(file.path(), None, None)));
            let lanes: Vec<Option<Lane>> = Lane { number: 0, of, stretch }.siblings().map(Some).collect();
            prop_assert_eq!(sorted(lanes.iter().flat_map(|lane| lines(read(file.path(), *lane, None))).collect()), all);
            for lane in lanes {
                let batches = read(file.path(), lane, None);
                for (at, (_, position)) in batches.iter().enumerate() {
                    let resumed = lines(read(file.path(), lane, Some(position)));
                    prop_assert_eq!(resumed, lines(batches[at + 1..].iter().cloned()));
                }
            }
        }
    }

    #[test]
    fn small_files_and_single_workers_need_no_lanes() {
        assert_eq!(Lane::all(LARGE - 1, 4).collect::<Vec<_>>(), [None]);
        assert_eq!(Lane::all(LARGE, 1).collect::<Vec<_>>(), [None]);
        assert_eq!(Lane::all(LARGE, 3).count(), 3);
    }
}
