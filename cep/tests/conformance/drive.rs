//! Runs a case: through the matcher if events come as given, through the keyed logic if they must be put in order of event time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_cep::{Candidate, CepLogic, Emitted, Found, Judge, Limit, Matcher, Nfa, Runs, Search};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Error, Record, Watermark};

use crate::case::{Case, Cel, Entry, Event};

/// A match as the cases state it.
#[derive(Debug)]
pub struct Made {
    pub steps: BTreeMap<String, Vec<usize>>,
    pub time: i64,
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub matches: Vec<Made>,
    pub timeouts: Vec<Made>,
    pub late: Vec<usize>,
    pub open: usize,
    pub events: usize,
}

fn made(steps: &[(Arc<str>, Vec<Event>)], time: i64) -> Made {
    let steps = steps.iter().map(|(name, events)| (name.to_string(), events.iter().map(|e| e.index).collect())).collect();
    Made { steps, time }
}

fn written_and_read<T: Serialize + for<'de> Deserialize<'de>>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// Whether to run the matcher that follows each partial match by itself, too.
pub fn run(case: &Case, one_by_one: bool) -> Result<Outcome, String> {
    if case.event_time { in_event_time(case) } else { as_given(case, one_by_one) }
}

fn as_given(case: &Case, one_by_one: bool) -> Result<Outcome, String> {
    let nfa = Arc::new(Nfa::compile(case.pattern.clone()).map_err(|e| e.to_string())?);
    let limit = Limit::default();
    let mut matcher = if one_by_one { Matcher::one_by_one(nfa, limit) } else { Matcher::new(nfa, limit, true) };
    let mut keys: BTreeMap<&str, Runs<Event>> = BTreeMap::new();
    let mut outcome = Outcome::default();
    let Outcome { matches, timeouts, .. } = &mut outcome;
    let mut found = |found: Found<'_, Event>| match found {
        Found::Match(sequence) => matches.push(made(&sequence.by_step(), sequence.time)),
        Found::Timeout(sequence) => timeouts.push(made(&sequence.by_step(), sequence.time)),
    };
    let mut eval = |condition: &Cel, candidate: &Candidate<'_, Event>| condition.holds(candidate);
    for (position, entry) in case.entries.iter().enumerate() {
        if case.restores.contains(&position) {
            keys.values_mut().for_each(|runs| *runs = written_and_read(runs));
        }
        let (Entry::Event(time, _) | Entry::Watermark(time)) = entry;
        for runs in keys.values_mut() {
            matcher.advance::<_, Error>(runs, *time, &mut found).map_err(|e| e.to_string())?;
        }
        if let Entry::Event(time, event) = entry {
            let runs = keys.entry(&event.key).or_default();
            matcher.event(runs, event.clone(), *time, &mut eval, &mut found).map_err(|e| e.to_string())?;
        }
    }
    outcome.open = keys.values().map(Runs::open).sum();
    outcome.events = keys.values().map(Runs::events).sum();
    Ok(outcome)
}

fn in_event_time(case: &Case) -> Result<Outcome, String> {
    let search = Search::new(case.pattern.clone()).map_err(|e| e.to_string())?;
    let search = search.tie_break(|a: &Event, b: &Event| a.tie.total_cmp(&b.tie));
    let new =
        || CepLogic::<String, _, _, _, _>::new(|e: &Event| e.key.clone(), search.clone(), Emitted::of, &mut Context::default()).unwrap();
    let mut logic = new();
    let mut out = Outbox::default();
    for (position, entry) in case.entries.iter().enumerate() {
        if case.restores.contains(&position) {
            let mut restored = new();
            logic.keys().unwrap().into_iter().for_each(|(key, state)| restored.restore(key, written_and_read(&state)).unwrap());
            logic = restored;
        }
        match entry {
            Entry::Event(time, event) => logic.record(Record::new(*time, event.clone()), &mut out).map_err(|e| e.to_string())?,
            Entry::Watermark(to) => {
                logic.watermark(Watermark(*to), &mut out).map_err(|e| e.to_string())?;
                out.set_watermark(Watermark(*to));
            }
        }
    }
    let (main, late) = out.take();
    let mut outcome = Outcome { late: late.into_iter().map(|r| r.value.index).collect(), ..Outcome::default() };
    for Record { time, value } in main {
        match value {
            Emitted::Match(found) => outcome.matches.push(made(&found.steps, time)),
            Emitted::Timeout(found) => outcome.timeouts.push(made(&found.steps, time)),
        }
    }
    outcome.open = logic.keys().unwrap().iter().map(|(_, state)| state.runs().open()).sum();
    outcome.events = logic.keys().unwrap().iter().map(|(_, state)| state.runs().events()).sum();
    outcome.late.sort_unstable();
    Ok(outcome)
}
