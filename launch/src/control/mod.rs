//! The control socket of a running job: how another process asks it something.
//!
//! The socket is `control` in the job's state directory. Both sides write JSON, an object a line. The job greets with the [`Greeting`]; then each
//! [`Request`], which bears the version of the protocol, gets one [`Reply`], in order. [`protocol`] has the messages, [`Client`] asks, and a launched job
//! answers by itself. `docs/control.md` describes the same for people.

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
