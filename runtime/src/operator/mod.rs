//! The harnesses in which every operator runs: source, stateless, broadcast, asynchronous, keyed, sink. Only they know timely.

mod appointment;
mod asynchronous;
mod broadcast;
mod harness;
mod keeper;
mod keyed;
mod logic;
mod positions;
mod rest;
mod sink;
mod source;
mod stateless;

pub use asynchronous::{Ask, Order, Ticket, asynchronous};
pub use broadcast::broadcast;
pub use keyed::{Keyed, Target, keyed, routed};
pub use logic::{Context, Logic, Outbox};
pub use sink::sink;
pub use source::source;
pub use stateless::stateless;
