//! A look at files before a job reads them: is there anything, and are the first lines records?

use tidegate_runtime::Error;

use super::listing::{Listed, Listing, unreadable};
use super::{FileSource, open};
use tidegate_rows::format::Format;

/// The files that are looked into. Of all but the first it is one record, to know their header.
const FILES: usize = 100;

/// What the first records are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Records that are understood.
    pub good: u64,
    /// Records that are not.
    pub bad: u64,
    /// What is wrong with the first of these, and where it stands.
    pub first_bad: Option<String>,
    /// The event time of the first one that is understood.
    pub first_time: Option<i64>,
}

impl<F: Format> FileSource<F> {
    /// Looks at the first records, at most so many, without taking them.
    ///
    /// # Errors
    /// There is no file, one can't be read, or its header does not fit.
    pub fn sample(&self, most: u64) -> Result<Sample, Error> {
        let mut sample = Sample::default();
        for (index, Listed { path, .. }) in Listing::of(&self.path)?.files.iter().take(FILES).enumerate() {
            // To look into a pipe is to take from it.
            if path.metadata().map_err(|e| unreadable(path, &e))?.is_file() {
                open(index, path, None, &*self.format)?.sample(if index == 0 { most } else { 1 }, &mut sample)?;
            }
        }
        Ok(sample)
    }
}
