//! Queries of Nexmark in the typed API, with the windows that Flink's edition gives them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate::operators::join::CoGroup;
use tidegate::operators::window::Bounds;
use tidegate::prelude::*;

use crate::events::{Auction, Bid, Event, Nexmark, Person};

const TEN_SECONDS: Duration = Duration::from_secs(10);
const TWO_SECONDS: Duration = Duration::from_secs(2);

fn events<'s>(flow: &Dataflow<'s>, nexmark: Nexmark) -> Stream<'s, Event> {
    flow.source("events", nexmark, WatermarkStrategy::bounded(Duration::ZERO))
}

fn bids<'s>(flow: &Dataflow<'s>, nexmark: Nexmark) -> Stream<'s, Bid> {
    events(flow, nexmark).flat_map("bids", |event| if let Event::Bid(bid) = event { Some(bid) } else { None })
}

/// The greatest of something in a window, and all that have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Greatest<T> {
    measure: u64,
    who: Vec<T>,
}

impl<T: Stored> Stored for Greatest<T> {
    const SCHEMA: &'static str = "greatest/1";

    fn schema() -> String {
        Self::schema_of(&[T::schema()])
    }
}

/// Keeps those with the greatest `measure`.
pub struct GreatestBy<M>(M);

impl<T: Stored, M: Fn(&T) -> u64 + 'static> Aggregate<T> for GreatestBy<M> {
    type Acc = Greatest<T>;
    type Out = Vec<T>;

    fn create(&self) -> Greatest<T> {
        Greatest { measure: 0, who: Vec::new() }
    }

    fn add(&mut self, acc: &mut Greatest<T>, value: &T, _: i64) -> Result<bool, Error> {
        let measure = (self.0)(value);
        if measure > acc.measure {
            acc.measure = measure;
            acc.who.clear();
        }
        if measure == acc.measure {
            acc.who.push(value.clone());
        }
        Ok(true)
    }

    fn merge(&self, acc: &mut Greatest<T>, other: &Greatest<T>) {
        if other.measure > acc.measure {
            acc.clone_from(other);
        } else if other.measure == acc.measure {
            acc.who.extend_from_slice(&other.who);
        }
    }

    fn finish(&self, acc: &Greatest<T>) -> Vec<T> {
        acc.who.clone()
    }
}

/// Hot items: the auctions with the most bids in the last ten seconds, every two seconds. (End of the window, auction, bids.)
pub fn q5<'s>(flow: &Dataflow<'s>, nexmark: Nexmark) -> Stream<'s, (i64, u64, u64)> {
    let counts = bids(flow, nexmark)
        .key_by(|bid: &Bid| bid.auction)
        .window(Window::sliding(TEN_SECONDS, TWO_SECONDS, 0).expect("a window"))
        .aggregate("counts", Count)
        .map("of_windows", |counted| (counted.end, counted.key, counted.value));
    counts
        .key_by(|counted: &(i64, u64, u64)| counted.0)
        .window(Window::tumbling(TWO_SECONDS, 0).expect("a window"))
        .aggregate("hottest", GreatestBy(|counted: &(i64, u64, u64)| counted.2))
        .flat_map("items", |window| window.value)
}

/// The highest bids of every ten seconds.
pub fn q7<'s>(flow: &Dataflow<'s>, nexmark: Nexmark) -> Stream<'s, Bid> {
    let window = Window::tumbling(TEN_SECONDS, 0).expect("a window");
    // In two steps, of which the first is spread over the workers.
    bids(flow, nexmark)
        .key_by(|bid: &Bid| bid.auction % 64)
        .window(window)
        .aggregate("highest_of_some", GreatestBy(|bid: &Bid| bid.price))
        .flat_map("of_some", |window| window.value)
        .key_by(|bid: &Bid| bid.time / 10_000)
        .window(window)
        .aggregate("highest", GreatestBy(|bid: &Bid| bid.price))
        .flat_map("bids_of_windows", |window| window.value)
}

/// New users who open an auction in the same ten seconds. (Start of the window, id, name.)
pub fn q8<'s>(flow: &Dataflow<'s>, nexmark: Nexmark) -> Stream<'s, (i64, u64, Box<str>)> {
    let events = events(flow, nexmark);
    let people = events.clone().flat_map("people", |event| if let Event::Person(person) = event { Some(person) } else { None });
    let auctions = events.flat_map("auctions", |event| if let Event::Auction(auction) = event { Some(auction) } else { None });
    let people = people.key_by(|person: &Person| person.id);
    let auctions = auctions.key_by(|auction: &Auction| auction.seller);
    let sellers = |_: &u64, window: Bounds, people: &[&Person], auctions: &[&Auction]| {
        let sellers = people.iter().filter(|_| !auctions.is_empty());
        sellers.map(|person| (window.start, person.id, person.name.clone())).collect()
    };
    let windows = people.join("new_sellers", auctions).window(Window::tumbling(TEN_SECONDS, 0).expect("a window"));
    windows.process("new_sellers", CoGroup::new(sellers)).0
}

/// The bids of each user in each session, which ten seconds of silence end. (Bidder, start, end, bids.)
pub fn q11<'s>(flow: &Dataflow<'s>, nexmark: Nexmark) -> Stream<'s, (u64, i64, i64, u64)> {
    bids(flow, nexmark)
        .key_by(|bid: &Bid| bid.bidder)
        .window(Window::session(TEN_SECONDS).expect("a window"))
        .aggregate("sessions", Count)
        .map("of_sessions", |counted| (counted.key, counted.start, counted.end, counted.value))
}
