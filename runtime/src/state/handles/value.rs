//! One value per key.

use crate::error::Error;
use crate::state::registry::{Handle, States};
use crate::state::ttl::{Expiry, Life, Stamp, Stamped, Ttl, over};
use crate::state::{Key, Keyed, Meaning, Stored};

/// One value per key.
pub struct ValueState<K, V>(Kept<K, V>);

enum Kept<K, V> {
    Forever(Handle<Keyed<K, V>>),
    Expiring(Handle<Keyed<K, Stamped<V>>>, Life),
}

impl<K: Key, V: Stored> ValueState<K, V> {
    pub(super) fn declare(states: &mut States, name: &str, meaning: Meaning<V>, ttl: Option<Ttl>) -> Result<Self, Error> {
        let Some(ttl) = ttl else { return Ok(Self(Kept::Forever(states.keyed(name, meaning)?))) };
        let life = states.life(ttl);
        let expiry = Expiry { life: life.clone(), stamp: |v: &Stamped<V>| v.stamp, strip: |_, _| {} };
        let meaning = meaning.inside(Stamped::<V>::SCHEMA, &[], |stamped: &mut Stamped<V>, each| each(&mut stamped.value));
        Ok(Self(Kept::Expiring(states.keyed_expiring(name, meaning, expiry)?, life)))
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&self, key: &K) -> Result<Option<V>, Error> {
        match &self.0 {
            Kept::Forever(state) => Ok(state.borrow_mut().get(key)?.cloned()),
            Kept::Expiring(_, life) if life.reads() => self.change(key, |value| value.clone()),
            Kept::Expiring(state, life) => {
                let mut state = state.borrow_mut();
                match state.get(key)? {
                    None => Ok(None),
                    Some(found) if !over(found.stamp, life.deadline()) => Ok(Some(found.value.clone())),
                    Some(_) => state.remove(key).map(|_| None),
                }
            }
        }
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn set(&self, key: &K, value: V) -> Result<(), Error> {
        match &self.0 {
            Kept::Forever(state) => state.borrow_mut().insert(key, value),
            Kept::Expiring(state, life) => state.borrow_mut().insert(key, Stamped { stamp: Stamp::new(life.clock.now()), value }),
        }
    }

    /// Changes the value of `key` in place and returns what `change` returns. Starts from `initial` if the key has no value.
    ///
    /// # Errors
    /// The disk failed.
    #[inline]
    pub fn update<R>(&self, key: &K, initial: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> R) -> Result<R, Error> {
        self.update_with(key, (), |()| initial(), |value, ()| change(value))
    }

    /// Like [`update`](Self::update), for two functions that both need `with`.
    ///
    /// # Errors
    /// The disk failed.
    #[inline]
    pub fn update_with<C, R>(
        &self,
        key: &K,
        mut with: C,
        initial: impl FnOnce(&mut C) -> V,
        change: impl FnOnce(&mut V, C) -> R,
    ) -> Result<R, Error> {
        match &self.0 {
            Kept::Forever(state) => {
                let mut state = state.borrow_mut();
                let value = state.get_or_insert_with(key, || initial(&mut with))?;
                Ok(change(value, with))
            }
            Kept::Expiring(state, life) => {
                let now = life.clock.now();
                let (stamp, deadline) = (Stamp::new(now), life.deadline_at(now));
                let mut state = state.borrow_mut();
                let new = || Stamped { stamp, value: initial(&mut with) };
                let found = state.get_or_renew_with(key, |found| over(found.stamp, deadline), new)?;
                found.stamp = stamp;
                Ok(change(&mut found.value, with))
            }
        }
    }

    /// Changes the value of `key` in place if it has one, and returns what `change` returns.
    ///
    /// # Errors
    /// The disk failed.
    pub fn change<R>(&self, key: &K, change: impl FnOnce(&mut V) -> R) -> Result<Option<R>, Error> {
        match &self.0 {
            Kept::Forever(state) => Ok(state.borrow_mut().get_mut(key)?.map(change)),
            Kept::Expiring(state, life) => {
                let mut state = state.borrow_mut();
                match state.get_mut(key)? {
                    None => Ok(None),
                    Some(found) if !over(found.stamp, life.deadline()) => {
                        found.stamp = Stamp::new(life.clock.now());
                        Ok(Some(change(&mut found.value)))
                    }
                    Some(_) => state.remove(key).map(|_| None),
                }
            }
        }
    }

    /// Removes and returns the value of `key`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove(&self, key: &K) -> Result<Option<V>, Error> {
        match &self.0 {
            Kept::Forever(state) => state.borrow_mut().remove(key),
            Kept::Expiring(state, life) => {
                let removed = state.borrow_mut().remove(key)?;
                Ok(removed.filter(|found| !over(found.stamp, life.deadline())).map(|found| found.value))
            }
        }
    }

    /// Changes the value of every key of this instance in place.
    ///
    /// # Errors
    /// The disk failed.
    pub fn change_each(&self, mut change: impl FnMut(&K, &mut V)) -> Result<(), Error> {
        let mut keys = Vec::new();
        self.for_each(|key, _| {
            keys.push(key.clone());
            Ok(())
        })?;
        keys.iter().try_for_each(|key| self.change(key, |value| change(key, value)).map(|_| ()))
    }

    /// Calls `each` with every key of this instance and its value.
    ///
    /// # Errors
    /// The disk failed, or `each` returned an error.
    pub fn for_each(&self, mut each: impl FnMut(&K, &V) -> Result<(), Error>) -> Result<(), Error> {
        match &self.0 {
            Kept::Forever(state) => state.borrow().for_each(each),
            Kept::Expiring(state, life) => {
                let deadline = life.deadline();
                state.borrow().for_each(|key, found| if over(found.stamp, deadline) { Ok(()) } else { each(key, &found.value) })
            }
        }
    }
}
