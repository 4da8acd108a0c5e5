//! The promise that what one release saved the next restores, held by what is kept in `tests/compatibility`: the names that savepoints have for operators and
//! states, in `identities.txt`, and savepoints with what must come of them, in `data`. See `README.md` there.

#[path = "../harness/mod.rs"]
#[allow(dead_code)]
mod harness;

mod golden;
mod identities;
mod jobs;
mod typed;
