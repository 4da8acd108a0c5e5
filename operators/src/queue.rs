//! Records that wait for the watermark, in the order of event time.

use std::cmp::Ordering;

use tidegate_runtime::operator::Context;
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored, Timers};
use tidegate_runtime::{Error, Record};

use crate::ties::Ties;

/// Something that waits until the watermark has come to its time.
pub trait Waits {
    /// The value of the record that waits.
    type Value;

    /// The record that waits.
    fn record(&self) -> &Record<Self::Value>;
}

impl<T> Waits for Record<T> {
    type Value = T;

    fn record(&self) -> &Self {
        self
    }
}

/// What waits, by key.
pub struct Queue<K, W: Waits> {
    /// The order of records with the same event time.
    pub(crate) ties: Ties<W::Value>,
    /// What waits of each key, in order.
    waiting: Handle<Keyed<K, Vec<W>>>,
    /// When to look at which key: at the time of the first that waits.
    due: Handle<Timers<K>>,
}

impl<K: Key, W: Waits + Stored> Queue<K, W> {
    /// Declares its states, `waiting` and `due`.
    ///
    /// # Errors
    /// The operator has states of these names.
    pub fn new(ties: Ties<W::Value>, context: &mut Context) -> Result<Self, Error> {
        Ok(Self { ties, waiting: context.states.keyed("waiting", Meaning::of_type())?, due: context.states.timers("due")? })
    }

    /// Lets something wait behind what is equal to it. What has the same time is ordered by the ties.
    ///
    /// # Errors
    /// The disk failed.
    pub fn wait(&self, key: K, new: W) -> Result<(), Error> {
        self.wait_by(key, new, |_, _| Ordering::Equal)
    }

    /// The same for what has an order of its own at the same time, before the ties.
    pub(crate) fn wait_by(&self, key: K, new: W, first: impl Fn(&W, &W) -> Ordering) -> Result<(), Error> {
        let mut waiting = self.waiting.borrow_mut();
        let waiting = waiting.get_or_insert_with(&key, Vec::new)?;
        let time = new.record().time;
        let ties = |other: &W| first(other, &new).then_with(|| (self.ties)(&other.record().value, &new.record().value));
        let at = waiting.partition_point(|other| other.record().time.cmp(&time).then_with(|| ties(other)).is_le());
        waiting.insert(at, new);
        if at == 0 {
            self.due.borrow_mut().set(time, key);
        }
        Ok(())
    }

    /// Gives what has come by `now` to `each`, with its key: key by key, and of each key in order.
    ///
    /// # Errors
    /// The disk failed, or `each` did.
    pub fn fire(&self, now: i64, mut each: impl FnMut(&K, W) -> Result<(), Error>) -> Result<(), Error> {
        self.due.fire(now, |_, key| {
            let come = self.take(&key, now)?;
            come.into_iter().try_for_each(|waited| each(&key, waited))
        })
    }

    /// Removes and returns what has come by `now`: key by key, and of each key in order.
    ///
    /// # Errors
    /// The disk failed.
    pub fn come(&self, now: i64) -> Result<Vec<W>, Error> {
        let mut come = Vec::new();
        self.fire(now, |_, waited| {
            come.push(waited);
            Ok(())
        })?;
        Ok(come)
    }

    /// The first of these keys that lies on this worker, if one does.
    pub fn own_key(&self, keys: impl IntoIterator<Item = K>) -> Option<K> {
        let waiting = self.waiting.borrow();
        keys.into_iter().find(|key| waiting.owns(key))
    }

    /// The latest time that something waits for.
    #[must_use]
    pub fn latest(&self) -> Option<i64> {
        self.due.borrow().latest()
    }

    /// Removes and returns what has come of a key, in order.
    fn take(&self, key: &K, now: i64) -> Result<Vec<W>, Error> {
        let mut all = self.waiting.borrow_mut();
        let Some(waiting) = all.get_mut(key)? else { return Ok(Vec::new()) };
        let rest = waiting.split_off(waiting.partition_point(|waited| waited.record().time <= now));
        let taken = std::mem::replace(waiting, rest);
        match waiting.first() {
            Some(next) => self.due.borrow_mut().set(next.record().time, key.clone()),
            None => _ = all.remove(key)?,
        }
        Ok(taken)
    }
}
