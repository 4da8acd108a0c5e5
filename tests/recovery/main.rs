//! Losing the process, and going on: the real binary, killed, and compared with a run that nothing happened to.

#[path = "../harness/mod.rs"]
#[allow(dead_code)]
mod harness;

mod broadcast;
mod changes;
mod crashes;
mod damage;
mod dropped;
mod full_disk;
mod job;
mod joins;
mod outputs;
mod process;
mod s3;
mod savepoints;
#[path = "../harness/s3.rs"]
mod server;
mod shared_files;
mod stops;
