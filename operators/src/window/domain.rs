//! The time that windows go by.

/// Which time puts records into windows and cleans the windows up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeDomain {
    /// The records' times.
    #[default]
    Event,
    /// The job's clock.
    Processing,
}
