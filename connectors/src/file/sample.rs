//! A preview of files before a job reads them: whether there are any, and whether their first lines are valid
//! records.

use tidegate_runtime::Error;

use super::listing::{Listed, Listing, unreadable};
use super::{FileSource, open};
use tidegate_rows::format::Format;

/// The maximum number of files to look into. In all but the first, only one record is read, to check the header.
const FILES: usize = 100;

/// What the first records look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The number of records that can be decoded.
    pub good: u64,
    /// The number of bad records.
    pub bad: u64,
    /// What is wrong with the first bad record, and where it is.
    pub first_bad: Option<String>,
    /// The event time of the first good record.
    pub first_time: Option<i64>,
}

impl<F: Format> FileSource<F> {
    /// Previews at most `most` records without consuming them.
    ///
    /// # Errors
    /// There is no file, a file can't be read, or its header does not fit.
    pub fn sample(&self, most: u64) -> Result<Sample, Error> {
        let mut sample = Sample::default();
        for (index, Listed { path, .. }) in Listing::of(&self.path)?.files.iter().take(FILES).enumerate() {
            // Looking into a pipe would consume its content.
            if path.metadata().map_err(|e| unreadable(path, &e))?.is_file() {
                open(index, path, None, None, &*self.format)?.sample(if index == 0 { most } else { 1 }, &mut sample)?;
            }
        }
        Ok(sample)
    }
}
