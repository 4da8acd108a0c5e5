//! Losing the process, and going on: the real binary, killed, and compared with a run that nothing happened to.

#[path = "../harness/mod.rs"]
#[allow(dead_code)]
mod harness;

mod crashes;
mod damage;
mod job;
mod joins;
mod savepoints;
