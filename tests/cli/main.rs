//! The command line, end to end: the real binary on real files.

#[path = "../harness/mod.rs"]
#[allow(dead_code)]
mod harness;

mod aggregates;
mod commands;
mod control;
mod control_records;
mod decimals;
mod errors;
mod examples;
mod formats;
mod generator;
mod indicators;
mod ingestion;
mod job_files;
mod joins;
mod live_features;
mod lookups;
mod memory;
mod open;
mod order;
mod parallelism;
mod patterns;
mod places;
mod records;
mod rules;
mod signals;
mod single;
mod sources;
mod streams;
mod updates;
mod windows;
