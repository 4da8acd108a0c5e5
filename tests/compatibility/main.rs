//! The promise that what one release saved, the next one restores. The files in `tests/compatibility` hold it to that: `identities.txt` has the
//! names that savepoints use for operators and states, and `data` has savepoints with what must come of them. See `README.md` there.

#[path = "../harness/mod.rs"]
#[allow(dead_code)]
mod harness;

mod identities;
mod jobs;
mod kept;
mod typed;
