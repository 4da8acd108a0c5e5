//! The operator and its limits: outputs, times, and what it forgets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use tidegate_cep::{Candidate, CepLogic, Condition, Emitted, Found, Limit, Matcher, Nfa, Overflow, Pattern, Runs, Search, Where};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Clock, Record, Watermark};

/// A key and a letter.
type Event = (u64, char);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn step(letter: char) -> Where<Event> {
    Where::event(move |(_, l): &Event| *l == letter)
}

fn a_then_b() -> Pattern<Where<Event>> {
    Pattern::begin("a").when(step('a')).followed_by("b").when(step('b'))
}

type Tell = fn(&u64, &Found<'_, Event>) -> Emitted<u64, Event>;
type AbLogic<F> = CepLogic<u64, Event, Where<Event>, F, Tell>;

fn logic(pattern: Pattern<Where<Event>>) -> AbLogic<impl Fn(&Event) -> u64> {
    let tell: Tell = Emitted::of;
    CepLogic::new(|(key, _): &Event| *key, Search::new(pattern).unwrap(), tell, &mut Context::default()).unwrap()
}

struct Driven<L: Logic> {
    logic: L,
    out: Outbox<L::Out, L::Side>,
}

impl<L: Logic<In = Event, Out = Emitted<u64, Event>, Side = Event>> Driven<L> {
    fn new(logic: L) -> Self {
        Self { logic, out: Outbox::default() }
    }

    fn event(&mut self, time: i64, key: u64, letter: char) {
        self.logic.record(Record::new(time, (key, letter)), &mut self.out).unwrap();
    }

    /// What the operator emits when time advances: `+` for a match or `-` for a timeout, the letters, and the event time.
    fn watermark(&mut self, to: i64) -> Vec<(String, i64)> {
        self.logic.watermark(Watermark(to), &mut self.out).unwrap();
        self.out.set_watermark(Watermark(to));
        let text = |sign: char, steps: &[(Arc<str>, Vec<Event>)]| {
            std::iter::once(sign).chain(steps.iter().flat_map(|(_, events)| events.iter().map(|(_, l)| *l))).collect()
        };
        let made = |record: Record<Emitted<u64, Event>>| match record.value {
            Emitted::Match(m) => (text('+', &m.steps), record.time),
            Emitted::Timeout(m) => (text('-', &m.steps), record.time),
        };
        self.out.take().0.into_iter().map(made).collect()
    }
}

fn list(found: &[(&str, i64)]) -> Vec<(String, i64)> {
    found.iter().map(|(text, time)| ((*text).to_owned(), *time)).collect()
}

#[test]
fn matches_and_timeouts_come_in_order_of_time() {
    let mut driven = Driven::new(logic(a_then_b().within(ms(10))));
    driven.event(4, 1, 'b');
    driven.event(1, 1, 'a');
    driven.event(2, 2, 'a');
    assert_eq!(driven.watermark(3), []);
    assert_eq!(driven.watermark(30), list(&[("+ab", 4), ("-a", 12)]));
    assert_eq!((driven.logic.keys().unwrap().len(), driven.logic.timers()), (0, 0));
}

#[test]
fn absence_is_certain_when_the_window_is_over() {
    let mut driven = Driven::new(logic(Pattern::begin("a").when(step('a')).not_followed_by("b").when(step('b')).within(ms(10))));
    driven.event(1, 1, 'a');
    driven.event(2, 1, 'b');
    driven.event(3, 2, 'a');
    assert_eq!(driven.watermark(12), []);
    assert_eq!(driven.watermark(13), list(&[("+a", 13)]));
    assert_eq!(driven.logic.keys().unwrap().len(), 0);
}

#[test]
fn a_step_window_is_over_without_another_event() {
    let mut driven = Driven::new(logic(a_then_b().step_within(ms(5))));
    driven.event(1, 1, 'a');
    assert_eq!(driven.watermark(5), []);
    assert_eq!(driven.watermark(6), list(&[("-a", 6)]));
    assert_eq!(driven.logic.timers(), 0);
}

#[test]
fn late_and_untimed_records_are_no_part_of_it() {
    let mut driven = Driven::new(logic(a_then_b()));
    driven.watermark(5);
    driven.event(5, 1, 'a');
    let (main, late) = driven.out.take();
    assert!(main.is_empty());
    assert_eq!(late, [Record::new(5, (1, 'a'))]);
    let error = driven.logic.record(Record::new(Record::UNTIMED, (1, 'a')), &mut driven.out).unwrap_err();
    assert!(error.to_string().contains("event time"), "{error}");
}

#[test]
fn keys_that_nothing_began_for_are_forgotten_at_once() {
    let mut driven = Driven::new(logic(a_then_b()));
    (0..100).for_each(|key| driven.event(1, key, 'x'));
    assert_eq!(driven.logic.keys().unwrap().len(), 100);
    driven.watermark(1);
    assert_eq!((driven.logic.keys().unwrap().len(), driven.logic.timers()), (0, 0));
}

#[test]
fn ties_are_broken_by_the_given_order() {
    let search = Search::new(a_then_b()).unwrap().tie_break(|x: &Event, y: &Event| x.1.cmp(&y.1));
    let mut driven = Driven::new(CepLogic::new(|(key, _): &Event| *key, search, Emitted::of, &mut Context::default()).unwrap());
    driven.event(1, 1, 'b');
    driven.event(1, 1, 'a');
    assert_eq!(driven.watermark(1), list(&[("+ab", 1)]));
}

#[test]
fn conditions_see_what_is_matched() {
    let pattern =
        Pattern::begin("a").filter_with(|(_, l): &Event, so_far| so_far.last("a").is_none_or(|(_, last)| last < l)).times(3).consecutive();
    let mut driven = Driven::new(logic(pattern.skip_past_last_event()));
    "abacadcdefa".chars().enumerate().for_each(|(i, l)| driven.event(i as i64, 1, l));
    assert_eq!(driven.watermark(20), list(&[("+cde", 8)]));
}

#[test]
fn a_greedy_loop_keeps_its_events_from_the_next_round_of_its_group() {
    let round = Pattern::begin("s").filter(|(_, l): &Event| "ab".contains(*l)).next("t").when(step('b')).zero_or_more().greedy();
    let mut driven = Driven::new(logic(Pattern::begin_group("rounds", round).one_or_more().next("c").when(step('c'))));
    "axbc".chars().enumerate().for_each(|(i, l)| driven.event(i as i64, 1, l));
    assert_eq!(driven.watermark(20), list(&[("+bc", 3)]));
}

#[test]
fn in_processing_time_events_are_taken_as_they_come_and_timers_go_by_the_clock() {
    let clock = Clock::manual(100);
    let search = Search::new(a_then_b().within(ms(10))).unwrap().processing_time();
    let mut context = Context::new(Arc::default(), clock.clone());
    let mut driven = Driven::new(CepLogic::new(|(key, _): &Event| *key, search, Emitted::of, &mut context).unwrap());
    let none = Record::UNTIMED;
    driven.event(7, 1, 'a');
    // A clock that is set back stands still.
    clock.set(95);
    driven.event(3, 1, 'b');
    driven.event(none, 2, 'a');
    assert_eq!(driven.watermark(i64::MAX), list(&[("+ab", none)]));
    assert_eq!(driven.logic.clock(109, &mut driven.out).unwrap(), Some(110));
    assert_eq!(driven.watermark(i64::MAX), []);
    assert_eq!(driven.logic.clock(110, &mut driven.out).unwrap(), None);
    assert_eq!(driven.watermark(i64::MAX), list(&[("-a", none)]));
    assert_eq!((driven.logic.keys().unwrap().len(), driven.logic.timers()), (0, 0));
}

#[test]
fn what_the_limit_drops_is_counted_by_the_operator() {
    let mut context = Context::default();
    let metrics = Arc::clone(&context.metrics);
    let search = Search::new(a_then_b()).unwrap().limit(Limit { memory: 4 << 10, overflow: Overflow::DropOldest });
    let mut driven = Driven::new(CepLogic::new(|(key, _): &Event| *key, search, Emitted::of, &mut context).unwrap());
    (0..1_000).for_each(|time| driven.event(time, 1, 'a'));
    driven.event(1_000, 1, 'b');
    let matches = driven.watermark(2_000).len();
    assert!(metrics.dropped.get() > 0);
    assert_eq!(metrics.dropped.get() as usize + matches, 1_000);
}

/// Fails for one letter.
#[derive(Clone)]
struct Picky(char);

impl Condition for Picky {}

#[test]
fn an_event_whose_condition_fails_is_as_if_it_had_not_come() {
    let pattern = Pattern::begin("a").when(Picky('a')).next("b").when(Picky('b'));
    let mut matcher = Matcher::new(Arc::new(Nfa::compile(pattern).unwrap()), Limit::default(), true);
    let (mut runs, mut matches) = (Runs::default(), 0);
    let mut found = |found: Found<'_, char>| matches += usize::from(matches!(found, Found::Match(_)));
    let mut eval = |c: &Picky, e: &Candidate<'_, char>| if *e.event == '!' { Err("bad letter") } else { Ok(*e.event == c.0) };
    for letter in "a!b".chars() {
        let result = matcher.event(&mut runs, letter, 0, &mut eval, &mut found);
        assert_eq!(result.is_err(), letter == '!');
    }
    assert_eq!(matches, 1);
    assert_eq!((runs.open(), runs.events()), (0, 0));
}
