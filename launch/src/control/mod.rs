//! The control socket of a running job, through which other processes command it.
//!
//! The socket is `control` in the job's state directory. Both sides write JSON, one object per line. The job sends a [`Greeting`] first.
//! Then each [`Request`], which carries the version of the protocol, gets one [`Reply`], in order. [`protocol`] has the messages,
//! [`Client`] sends requests, and a launched job answers them by itself. `docs/control.md` describes the protocol for users.

mod client;
pub mod protocol;
pub(crate) mod report;
mod server;

pub use client::{Client, ClientError};
pub use protocol::{
    CheckpointReport, Completion, Ended, Failure, Greeting, OperatorReport, Refusal, Reply, Request, RunReport, State, Status, VERSION,
};
pub use server::ListenError;
pub(crate) use server::Server;
