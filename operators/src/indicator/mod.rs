//! Indicators: exact features at every event. What is known of this user, this address, this card at the moment of this record.
//!
//! A record is answered from the histories of its key, and then leaves something in them. A history serves every span and every function that is over
//! the same records and values.

mod contract;
mod distinct;
mod history;
mod items;
mod nodes;
mod operator;
mod span;
#[cfg(test)]
mod tests;
mod typed;
mod view;

pub use contract::{Ever, Feed, Flow, Indicators, Kept, Plan};
pub use distinct::{Distinct, Distinguishes, Seen};
pub(crate) use history::History;
pub use history::{Column, Entry, Piece};
pub use items::Scalar;
pub use operator::live;
pub(crate) use operator::{Histories, IndicatorLogic};
pub use span::{Calendar, Span, Unit};
pub(crate) use typed::OfRecords;
pub use typed::{Indicator, IndicatorSet, Numbers, Records, Taken, Takes, Values};
pub use view::{Floor, Stretch, View};
