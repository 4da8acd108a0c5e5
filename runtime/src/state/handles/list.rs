//! A list per key.

use crate::error::Error;
use crate::state::registry::{Handle, States};
use crate::state::ttl::{Expiry, Life, Stamp, Stamped, Ttl, over};
use crate::state::{Key, Keyed, Meaning, Stored};

/// A list per key. It is read from and written to disk as a whole, so it suits lists of a few thousand elements at most.
pub struct ListState<K, V>(Kept<K, V>);

type Elements<V> = Stamped<Vec<Stamped<V>>>;

enum Kept<K, V> {
    Forever(Handle<Keyed<K, Vec<V>>>),
    Expiring(Handle<Keyed<K, Elements<V>>>, Life),
}

fn strip<V>(list: &mut Elements<V>, deadline: Option<i64>) {
    // The oldest elements come first.
    if list.value.first().is_some_and(|first| over(first.stamp, deadline)) {
        list.value.retain(|element| !over(element.stamp, deadline));
    }
}

impl<K: Key, V: Stored> ListState<K, V> {
    pub(super) fn declare(states: &mut States, name: &str, ttl: Option<Ttl>) -> Result<Self, Error> {
        let Some(ttl) = ttl else { return Ok(Self(Kept::Forever(states.keyed(name, Meaning::of_type())?))) };
        let life = states.life(ttl);
        let expiry = Expiry { life: life.clone(), stamp: |list: &Elements<V>| list.stamp, strip };
        Ok(Self(Kept::Expiring(states.keyed_expiring(name, Meaning::of_type(), expiry)?, life)))
    }

    /// The elements of `key`, in the order they were added.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K) -> Result<Vec<V>, Error> {
        match &self.0 {
            Kept::Forever(state) => Ok(state.borrow_mut().get(key)?.cloned().unwrap_or_default()),
            Kept::Expiring(state, life) => {
                let mut state = state.borrow_mut();
                let deadline = life.deadline();
                let Some(list) = state.get(key)? else { return Ok(Vec::new()) };
                if over(list.stamp, deadline) {
                    return state.remove(key).map(|_| Vec::new());
                }
                if life.reads()
                    && let Some(list) = state.get_mut(key)?
                {
                    strip(list, deadline);
                    list.stamp = Stamp::new(life.clock.now());
                    let now = list.stamp;
                    return Ok(list
                        .value
                        .iter_mut()
                        .map(|element| {
                            element.stamp = now;
                            element.value.clone()
                        })
                        .collect());
                }
                Ok(state.get(key)?.into_iter().flat_map(|list| alive(list, deadline)).cloned().collect())
            }
        }
    }

    /// Adds an element.
    ///
    /// # Errors
    /// The disk failed.
    pub fn push(&self, key: &K, value: V) -> Result<(), Error> {
        match &self.0 {
            Kept::Forever(state) => state.borrow_mut().get_or_insert_with(key, Vec::new).map(|list| list.push(value)),
            Kept::Expiring(state, life) => {
                let stamp = Stamp::new(life.clock.now());
                let mut state = state.borrow_mut();
                let list = state.get_or_insert_with(key, || Stamped { stamp, value: Vec::new() })?;
                strip(list, life.deadline());
                list.stamp = stamp;
                list.value.push(Stamped { stamp, value });
                Ok(())
            }
        }
    }

    /// Removes and returns all elements of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn take(&self, key: &K) -> Result<Vec<V>, Error> {
        match &self.0 {
            Kept::Forever(state) => Ok(state.borrow_mut().remove(key)?.unwrap_or_default()),
            Kept::Expiring(state, life) => {
                let mut removed = state.borrow_mut().remove(key)?;
                removed.iter_mut().for_each(|list| strip(list, life.deadline()));
                Ok(removed.into_iter().flat_map(|list| list.value).map(|element| element.value).collect())
            }
        }
    }

    /// Calls `each` with every key of this instance and its elements.
    ///
    /// # Errors
    /// The disk failed, or `each` returned an error.
    pub fn for_each(&self, mut each: impl FnMut(&K, &[V]) -> Result<(), Error>) -> Result<(), Error> {
        match &self.0 {
            Kept::Forever(state) => state.borrow().for_each(|key, list| each(key, list)),
            Kept::Expiring(state, life) => {
                let deadline = life.deadline();
                state.borrow().for_each(|key, list| {
                    let elements: Vec<V> = alive(list, deadline).cloned().collect();
                    if elements.is_empty() { Ok(()) } else { each(key, &elements) }
                })
            }
        }
    }
}

fn alive<V>(list: &Elements<V>, deadline: Option<i64>) -> impl Iterator<Item = &V> {
    list.value.iter().filter(move |element| !over(element.stamp, deadline)).map(|element| &element.value)
}
