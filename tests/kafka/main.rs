//! Kafka, end to end: the real binary, a real broker, and other clients to check by.
//!
//! The broker is started once for all tests. Where there is no Java to run it the tests say so and pass; in CI they fail.

#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../harness/mod.rs"]
mod harness;

#[path = "../harness/s3.rs"]
#[allow(dead_code)]
mod s3;

mod avro;
mod broker;
mod commands;
mod crashes;
mod dead_letters;
mod errors;
mod exactly_once;
mod example;
mod live;
mod positions;
mod replay;
mod restarts;
mod sink;
mod topic;
