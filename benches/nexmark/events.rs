//! The events of Nexmark, an auction house: of fifty, one is a new person, three are new auctions and 46 are bids.
//!
//! Proportions, hot keys and prices are those of the generator of Apache Beam: half of the bids go to one of the hot auctions (every hundredth), three
//! quarters of them come from a hot bidder, three quarters of the auctions from a hot seller; the others go to the hundred newest auctions and come from the
//! thousand newest people. Event `n` is a pure function of the seed and `n`. Without the padding that brings events to a given size.

use serde::{Deserialize, Serialize};
use tidegate::runtime::source::{Batch, Poll, Reader, Source, SourceContext, SplitId};
use tidegate::runtime::state::Stored;
use tidegate::runtime::{Error, Record};

/// A new person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Person {
    pub id: u64,
    pub name: Box<str>,
    pub city: Box<str>,
}

impl Stored for Person {
    const SCHEMA: &'static str = "person/1";
}

/// A new auction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auction {
    pub id: u64,
    pub item: Box<str>,
    pub seller: u64,
    pub category: u64,
    pub initial_bid: u64,
}

impl Stored for Auction {
    const SCHEMA: &'static str = "auction/1";
}

/// A bid: who offers how many cents, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bid {
    pub auction: u64,
    pub bidder: u64,
    pub price: u64,
    pub time: i64,
}

impl Stored for Bid {
    const SCHEMA: &'static str = "bid/1";
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

const OF_FIFTY: u64 = 50;
const AUCTIONS: u64 = 3;
const FIRST_ID: u64 = 1_000;
const HOT_AUCTIONS_APART: u64 = 100;
const HOT_PEOPLE_APART: u64 = 100;
const OPEN_AUCTIONS: u64 = 100;
const ACTIVE_PEOPLE: u64 = 1_000;
/// Bids may be for auctions, and by people, that are about to come.
const LEAD: u64 = 10;

/// The generator.
#[derive(Clone, Copy, Debug)]
pub struct Nexmark {
    pub seed: u64,
    pub count: u64,
    /// Events per second of event time.
    pub rate: u64,
}

/// Random numbers of one event: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// Of one in so many not.
    fn hot(&mut self, of: u64) -> bool {
        self.below(of) > 0
    }

    /// From one dollar to a million, each order of magnitude as likely.
    fn price(&mut self) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (10_f64.powf(unit * 6.0) * 100.0).round() as u64
    }

    fn text(&mut self, prefix: &str) -> Box<str> {
        format!("{prefix} {:x}", self.next() >> 40).into()
    }
}

impl Nexmark {
    /// When event `n` happens: milliseconds.
    pub fn time(&self, n: u64) -> i64 {
        (n * 1_000 / self.rate) as i64
    }

    /// Event `n`.
    #[inline]
    pub fn event(&self, n: u64) -> Event {
        let mut random = Random(self.seed ^ n.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let (fifty, place) = (n / OF_FIFTY, n % OF_FIFTY);
        // The newest of either when this event happens, from 0 on.
        let last_person = fifty;
        let last_auction = (fifty * AUCTIONS + place.min(AUCTIONS)).saturating_sub(1);
        if place == 0 {
            let (name, city) = (random.text("Person"), random.text("City"));
            return Event::Person(Person { id: FIRST_ID + fifty, name, city });
        }
        if place <= AUCTIONS {
            let seller = if random.hot(4) { last_person / HOT_PEOPLE_APART * HOT_PEOPLE_APART } else { person(last_person, &mut random) };
            let (item, category, initial_bid) = (random.text("Item"), 10 + random.below(5), random.price());
            return Event::Auction(Auction { id: FIRST_ID + last_auction, item, seller: FIRST_ID + seller, category, initial_bid });
        }
        let auction = if random.hot(2) {
            last_auction / HOT_AUCTIONS_APART * HOT_AUCTIONS_APART
        } else {
            let oldest = last_auction.saturating_sub(OPEN_AUCTIONS);
            oldest + random.below(last_auction - oldest + 1 + LEAD)
        };
        let bidder = if random.hot(4) { last_person / HOT_PEOPLE_APART * HOT_PEOPLE_APART + 1 } else { person(last_person, &mut random) };
        Event::Bid(Bid { auction: FIRST_ID + auction, bidder: FIRST_ID + bidder, price: random.price(), time: self.time(n) })
    }
}

/// One of those who are active.
fn person(last: u64, random: &mut Random) -> u64 {
    let active = (last + 1).min(ACTIVE_PEOPLE);
    last + 1 - active + random.below(active + LEAD)
}

struct Share {
    of: Nexmark,
    next: u64,
    step: u64,
}

impl Source<Event> for Nexmark {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Event>>, Error> {
        Ok(Box::new(Share { of: *self, next: context.worker as u64, step: context.workers as u64 }))
    }
}

impl Reader<Event> for Share {
    fn poll(&mut self) -> Result<Poll<Event>, Error> {
        if self.next >= self.of.count {
            return Ok(Poll::Finished);
        }
        let numbers = (self.next..self.of.count).step_by(self.step as usize).take(1_024);
        let records: Vec<_> = numbers.map(|n| Record::new(self.of.time(n), self.of.event(n))).collect();
        self.next += self.step * records.len() as u64;
        Ok(Poll::Batch(Batch::new(SplitId(0), records)))
    }
}
