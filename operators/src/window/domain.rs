//! The time domain of windows.

/// The clock that assigns records to windows and ends them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeDomain {
    /// The event times of the records.
    #[default]
    Event,
    /// The job's wall clock.
    Processing,
}
