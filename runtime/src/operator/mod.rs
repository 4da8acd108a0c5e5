//! The harnesses in which every operator runs: source, stateless, broadcast, asynchronous, keyed, sink. Only they know timely.

mod appointment;
mod asynchronous;
mod broadcast;
mod keeper;
mod keyed;
mod positions;
mod rest;
mod sink;
mod source;
mod stateless;

pub use asynchronous::{Ask, Order, Ticket, asynchronous};
pub use broadcast::broadcast;
pub use keyed::{Context, Keyed, Logic, Outbox, Target, keyed, routed};
pub use sink::sink;
pub use source::source;
pub use stateless::stateless;
