//! Connected streams in a running job: which worker gets which record, and how event time advances.

#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code)]
mod harness;

use std::collections::BTreeMap;

use tidegate_operators::{BroadcastContext, BroadcastProcessFunction, CoProcessFunction, ProcessContext, Timer};
use tidegate_runtime::Error;
use tidegate_runtime::state::{SharedMap, States, ValueState};

use crate::harness::{Records, run, stream};

/// Keeps the last value of each stream and emits both at the end.
#[derive(Default)]
struct Last {
    sums: Option<ValueState<u64, (i64, i64)>>,
}

impl CoProcessFunction<u64, (u64, i64), (u64, i64)> for Last {
    type Out = (u64, i64, i64);

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.sums = Some(states.value("sums")?);
        Ok(())
    }

    fn process_first(&mut self, value: (u64, i64), context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        context.set_event_timer(1_000_000);
        self.sums.as_ref().unwrap().update(context.key(), || (0, 0), |sums| sums.0 += value.1)
    }

    fn process_second(&mut self, value: (u64, i64), context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        context.set_event_timer(1_000_000);
        self.sums.as_ref().unwrap().update(context.key(), || (0, 0), |sums| sums.1 += value.1)
    }

    fn on_timer(&mut self, _: Timer, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        let key = *context.key();
        if let Some((first, second)) = self.sums.as_ref().unwrap().get(&key)? {
            context.emit((key, first, second));
        }
        Ok(())
    }
}

#[test]
fn two_keyed_streams_share_the_state_of_their_keys() {
    let records = |step: u64, n: i64| Records((0..n).map(|i| (i, i as u64 * step % 23, i)).collect());
    let (a, b) = (records(7, 300), records(5, 200));
    let mut expected: BTreeMap<u64, (i64, i64)> = BTreeMap::new();
    a.0.iter().for_each(|(_, key, value)| expected.entry(*key).or_default().0 += value);
    b.0.iter().for_each(|(_, key, value)| expected.entry(*key).or_default().1 += value);
    for workers in [1, 2, 3] {
        let (a, b) = (a.clone(), b.clone());
        let out = run(workers, move |flow| {
            let first = stream(flow, "a", &a).key_by(|r: &(u64, i64)| r.0);
            first.connect(stream(flow, "b", &b).key_by(|r: &(u64, i64)| r.0)).process("both", Last::default())
        });
        assert_eq!(out, expected.iter().map(|(key, (a, b))| (*key, *a, *b)).collect::<Vec<_>>(), "{workers} workers");
    }
}

/// Counts the records of each key and emits the counts at the end. For each broadcast rule, emits the rules known by then.
#[derive(Default)]
struct Rules {
    counts: Option<ValueState<u64, i64>>,
}

/// The count of a key, or the rules after a broadcast record.
type Told = (Option<(u64, i64)>, Vec<(u64, i64)>);

impl BroadcastProcessFunction<u64, (u64, i64), (u64, i64)> for Rules {
    type Out = Told;
    type Name = u64;
    type Rule = i64;

    fn open(&mut self, states: &mut States) -> Result<(), Error> {
        self.counts = Some(states.value("counts")?);
        Ok(())
    }

    fn process(&mut self, _: (u64, i64), _: &SharedMap<u64, i64>, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        context.set_event_timer(500);
        self.counts.as_ref().unwrap().update(context.key(), || 0, |n| *n += 1)
    }

    fn process_broadcast(
        &mut self,
        (name, rule): (u64, i64),
        rules: &mut SharedMap<u64, i64>,
        context: &mut BroadcastContext<'_, Self::Out>,
    ) -> Result<(), Error> {
        rules.insert(name, rule);
        let mut all: Vec<_> = rules.iter().map(|(name, rule)| (*name, *rule)).collect();
        all.sort_unstable();
        context.emit((None, all));
        self.counts.as_ref().unwrap().change_each(|_, n| *n += 0)
    }

    fn on_timer(&mut self, _: Timer, _: &SharedMap<u64, i64>, context: &mut ProcessContext<'_, u64, Self::Out>) -> Result<(), Error> {
        let key = *context.key();
        let count = self.counts.as_ref().unwrap().get(&key)?.unwrap_or_default();
        context.emit((Some((key, count)), Vec::new()));
        Ok(())
    }
}

/// Every worker sends rules, and after each of them the rules are the same everywhere.
#[test]
fn every_worker_sees_all_rules_in_one_order() {
    let events = Records((0..200).map(|i| (i, i as u64 % 17, i)).collect());
    let rules = Records((0..40).map(|i| (i * 20, i as u64 % 9, i)).collect());
    for workers in [1, 2, 3] {
        let (events, rules) = (events.clone(), rules.clone());
        let out = run(workers, move |flow| {
            let keyed = stream(flow, "events", &events).key_by(|r: &(u64, i64)| r.0);
            keyed.connect_broadcast(stream(flow, "rules", &rules)).process("rules-at-work", Rules::default())
        });
        let counts: Vec<_> = out.iter().filter_map(|(count, _)| *count).collect();
        assert_eq!(counts.iter().map(|(key, _)| *key).collect::<Vec<_>>(), (0..17).collect::<Vec<_>>(), "{workers} workers");
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<i64>(), 200);
        let mut versions: BTreeMap<&Vec<(u64, i64)>, usize> = BTreeMap::new();
        out.iter().filter(|(count, _)| count.is_none()).for_each(|(_, rules)| *versions.entry(rules).or_default() += 1);
        assert_eq!(versions.len(), 40);
        assert!(versions.values().all(|seen| *seen == workers), "a version of the rules that not all of {workers} workers had");
    }
}
