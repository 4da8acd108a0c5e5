//! The four harnesses every operator runs in: source, stateless, keyed, sink. Only these know timely.

mod appointment;
mod keeper;
mod keyed;
mod positions;
mod sink;
mod source;
mod stateless;

pub use keyed::{Context, Keyed, Logic, Outbox, Target, keyed, routed};
pub use sink::sink;
pub use source::source;
pub use stateless::stateless;
