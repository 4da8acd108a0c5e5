//! The time model, end to end through the typed API: whatever the interleaving of sources, splits, workers and barriers, results are those of
//! a sequential reading of the definition.

mod alignment;
mod broadcast;
mod clock;
mod failures;
mod gauges;
mod idleness;
mod lateness;
mod order;
mod pressure;
mod savepoints;
mod script;
mod silence;
mod slow_sinks;
mod stopping;
mod timers;
mod windows;
