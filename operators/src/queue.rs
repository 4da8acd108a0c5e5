//! Records that wait for the watermark, in the order of event time.

use std::cmp::Ordering;

use tidegate_runtime::operator::Context;
use tidegate_runtime::state::{Handle, Key, Keyed, Meaning, Stored, Timers};
use tidegate_runtime::{Error, Record};

/// Something that waits until the watermark has come to its time.
pub(crate) trait Waits: Stored {
    /// Its event time.
    fn time(&self) -> i64;
}

impl<T: Stored> Waits for Record<T> {
    fn time(&self) -> i64 {
        self.time
    }
}

/// What waits, by key.
pub(crate) struct Queue<K, W> {
    /// What waits of each key, in order.
    waiting: Handle<Keyed<K, Vec<W>>>,
    /// When to look at which key: at the time of the first that waits.
    due: Handle<Timers<K>>,
}

impl<K: Key, W: Waits> Queue<K, W> {
    /// Declares its states, `waiting` and `due`.
    pub(crate) fn new(context: &mut Context) -> Result<Self, Error> {
        Ok(Self { waiting: context.states.keyed("waiting", Meaning::of_type())?, due: context.states.timers("due")? })
    }

    /// Lets something wait behind what is equal to it. `ties` orders what has the same time.
    pub(crate) fn wait(&self, key: K, new: W, ties: impl Fn(&W, &W) -> Ordering) -> Result<(), Error> {
        let mut waiting = self.waiting.borrow_mut();
        let waiting = waiting.get_or_insert_with(&key, Vec::new)?;
        let time = new.time();
        let at = waiting.partition_point(|other| other.time().cmp(&time).then_with(|| ties(other, &new)).is_le());
        waiting.insert(at, new);
        if at == 0 {
            self.due.borrow_mut().set(time, key);
        }
        Ok(())
    }

    /// Gives what has come by `now` to `each`, with its key: key by key, and of each key in order.
    pub(crate) fn fire(&self, now: i64, mut each: impl FnMut(&K, W) -> Result<(), Error>) -> Result<(), Error> {
        self.due.fire(now, |_, key| {
            let come = self.take(&key, now)?;
            come.into_iter().try_for_each(|waited| each(&key, waited))
        })
    }

    /// The latest time that something waits for.
    pub(crate) fn latest(&self) -> Option<i64> {
        self.due.borrow().latest()
    }

    /// Removes and returns what has come of a key, in order.
    fn take(&self, key: &K, now: i64) -> Result<Vec<W>, Error> {
        let mut all = self.waiting.borrow_mut();
        let Some(waiting) = all.get_mut(key)? else { return Ok(Vec::new()) };
        let rest = waiting.split_off(waiting.partition_point(|waited| waited.time() <= now));
        let taken = std::mem::replace(waiting, rest);
        match waiting.first() {
            Some(next) => self.due.borrow_mut().set(next.time(), key.clone()),
            None => _ = all.remove(key)?,
        }
        Ok(taken)
    }
}
