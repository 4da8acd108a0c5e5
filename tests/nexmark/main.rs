//! The queries of the Nexmark benchmark against what can be read off all events at once.

#[path = "../../benches/nexmark/events.rs"]
mod events;
#[path = "../../benches/nexmark/queries.rs"]
mod queries;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate::prelude::*;

use events::{Bid, Event, Nexmark};

/// Forty seconds of event time.
const NEXMARK: Nexmark = Nexmark { seed: 7, count: 20_000, rate: 500 };

fn all() -> Vec<(i64, Event)> {
    (0..NEXMARK.count).map(|n| (NEXMARK.time(n), NEXMARK.event(n))).collect()
}

fn bids() -> Vec<Bid> {
    all().into_iter().filter_map(|(_, event)| if let Event::Bid(bid) = event { Some(bid) } else { None }).collect()
}

fn run<T>(workers: usize, query: impl for<'s> Fn(&Dataflow<'s>, Nexmark) -> Stream<'s, T> + Send + Sync + 'static) -> Vec<T>
where
    T: Clone + Send + Ord + Serialize + DeserializeOwned + 'static,
{
    let results = CollectSink::new();
    let sink = results.clone();
    let job = Job::new(move |flow| query(flow, NEXMARK).sink("results", sink.clone())).expect("a valid job");
    job.run(RunConfig::workers(workers)).expect("the job ends well");
    let mut results: Vec<T> = results.take().into_iter().map(|record| record.value).collect();
    results.sort();
    results
}

#[test]
fn events_have_the_proportions_and_the_hot_keys_of_nexmark() {
    let (mut people, mut auctions, mut bids) = (0, 0, Vec::new());
    for (_, event) in all() {
        match event {
            Event::Person(_) => people += 1,
            Event::Auction(_) => auctions += 1,
            Event::Bid(bid) => bids.push(bid),
        }
    }
    assert_eq!((people, auctions, bids.len()), (400, 1_200, 18_400));
    let share = |hot: &dyn Fn(&Bid) -> bool| bids.iter().filter(|bid| hot(bid)).count() as f64 / bids.len() as f64;
    assert!((0.5..0.53).contains(&share(&|bid| bid.auction % 100 == 0)));
    assert!((0.74..0.78).contains(&share(&|bid| bid.bidder % 100 == 1)));
}

#[test]
fn q5_finds_the_auctions_with_the_most_bids() {
    let mut counts: BTreeMap<i64, BTreeMap<u64, u64>> = BTreeMap::new();
    for bid in bids() {
        let first = bid.time.div_euclid(2_000) * 2_000 + 2_000;
        for end in (first..first + 10_000).step_by(2_000) {
            *counts.entry(end).or_default().entry(bid.auction).or_default() += 1;
        }
    }
    let mut expected = Vec::new();
    for (end, counts) in counts {
        let most = counts.values().max().copied().unwrap();
        expected.extend(counts.into_iter().filter(|(_, n)| *n == most).map(|(auction, n)| (end, auction, n)));
    }
    for workers in [1, 3] {
        assert_eq!(run(workers, queries::q5), expected, "{workers} workers");
    }
}

#[test]
fn q7_finds_the_highest_bids() {
    let mut windows: BTreeMap<i64, Vec<Bid>> = BTreeMap::new();
    bids().into_iter().for_each(|bid| windows.entry(bid.time / 10_000).or_default().push(bid));
    let highest = windows.into_values().flat_map(|bids| {
        let price = bids.iter().map(|bid| bid.price).max();
        bids.into_iter().filter(move |bid| Some(bid.price) == price)
    });
    let mut expected: Vec<Bid> = highest.collect();
    expected.sort();
    for workers in [1, 3] {
        assert_eq!(run(workers, queries::q7), expected, "{workers} workers");
    }
}

#[test]
fn q8_finds_the_new_users_who_sell() {
    let all = all();
    let sellers: BTreeSet<(i64, u64)> = all
        .iter()
        .filter_map(|(time, event)| if let Event::Auction(auction) = event { Some((time / 10_000, auction.seller)) } else { None })
        .collect();
    let people =
        all.into_iter().filter_map(|(time, event)| if let Event::Person(person) = event { Some((time / 10_000, person)) } else { None });
    let new = people.filter(|(window, person)| sellers.contains(&(*window, person.id)));
    let expected: BTreeSet<_> = new.map(|(window, person)| (window * 10_000, person.id, person.name)).collect();
    assert!(expected.len() > 10, "{}", expected.len());
    for workers in [1, 3] {
        assert_eq!(run(workers, queries::q8), expected.iter().cloned().collect::<Vec<_>>(), "{workers} workers");
    }
}

#[test]
fn q11_counts_the_bids_of_sessions() {
    let mut times: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    bids().into_iter().for_each(|bid| times.entry(bid.bidder).or_default().push(bid.time));
    let mut expected = Vec::new();
    for (bidder, mut times) in times {
        times.sort_unstable();
        for session in times.chunk_by(|a, b| b - a <= 10_000) {
            expected.push((bidder, session[0], session[session.len() - 1] + 10_000, session.len() as u64));
        }
    }
    expected.sort();
    assert!(expected.iter().any(|session| session.1 > 0));
    for workers in [1, 3] {
        assert_eq!(run(workers, queries::q11), expected, "{workers} workers");
    }
}
