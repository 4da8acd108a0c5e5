//! The states of one operator instance: declared by the operator; bound, snapshotted and evicted by its harness.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use serde_json::{Map, Value as Json};
use tidegate_checkpoints::Field;

use super::broadcast::Broadcast;
use super::cache::Victims;
use super::disk::Floor;
use super::due::Due;
use super::instance::Instance;
use super::keyed::Keyed;
use super::meaning::{Arrange, Meaning};
use super::persistent::{AllRows, Persistent, Schema, Upcoming};
use super::reached::Reached;
use super::timers::Timers;
use super::ttl::{Expiry, Life, Ttl};
use super::windowed::Windowed;
use super::{Key, Stored};
use crate::clock::Clock;
use crate::error::Error;
use crate::record::Data;

/// Declares and hands out the states of one operator instance.
#[derive(Default)]
pub struct States {
    states: Vec<Rc<RefCell<dyn Persistent>>>,
    instance: Option<Rc<Instance>>,
    /// The state that the sweep of the current snapshot has reached.
    sweeping: usize,
    clock: Clock,
}

/// An operator's handle to one of its states.
pub struct Handle<S>(Rc<RefCell<S>>);

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S> Handle<S> {
    /// Borrows the state for reading.
    #[must_use]
    #[inline]
    pub fn borrow(&self) -> Ref<'_, S> {
        self.0.borrow()
    }

    /// Borrows the state for changing. Don't hold the borrow across another call into the same state.
    #[must_use]
    #[inline]
    pub fn borrow_mut(&self) -> RefMut<'_, S> {
        self.0.borrow_mut()
    }
}

/// The schema of timers, without that of their keys.
pub(super) const TIMERS: &str = "timers/1";

/// The schema of a set of due moments.
pub(super) const DUE: &str = "due/1";

/// The schema of the event time reached.
pub(super) const REACHED: &str = "reached/1";

impl States {
    fn claim(&self, name: &str, schema: String, fields: Vec<Field>) -> Result<Schema, Error> {
        if self.states.iter().any(|state| state.borrow().schema().name == name) {
            return Err(Error::user(format!("two states of one operator are called `{name}`")));
        }
        if self.states.len() >= usize::from(u8::MAX) {
            return Err(Error::user("an operator can have 255 states"));
        }
        Ok(Schema { name: name.to_owned(), schema, fields })
    }

    fn add<S: Persistent + 'static>(&mut self, state: S) -> Handle<S> {
        let state = Rc::new(RefCell::new(state));
        self.states.push(Rc::clone(&state) as Rc<RefCell<dyn Persistent>>);
        Handle(state)
    }

    /// The schema of a state by key, and how to rearrange its values.
    fn meant<K: Key, V>(&self, name: &str, by: &str, meaning: Meaning<V>) -> Result<(Schema, Option<Arrange<V>>), Error> {
        let Meaning { schema, fields, arrange } = meaning;
        Ok((self.claim(name, format!("{schema} by {}{by}", K::schema()), fields)?, arrange))
    }

    /// One value per key. Stored values with a different meaning are never read.
    ///
    /// # Errors
    /// The name is taken.
    pub fn keyed<K: Key, V: Data>(&mut self, name: &str, meaning: Meaning<V>) -> Result<Handle<Keyed<K, V>>, Error> {
        let (schema, arrange) = self.meant::<K, V>(name, "", meaning)?;
        Ok(self.add(Keyed::new(schema, arrange, None)))
    }

    /// One value per key, with a time to live.
    pub(super) fn keyed_expiring<K: Key, V: Data>(
        &mut self,
        name: &str,
        meaning: Meaning<V>,
        expiry: Expiry<V>,
    ) -> Result<Handle<Keyed<K, V>>, Error> {
        let (schema, arrange) = self.meant::<K, V>(name, "", meaning)?;
        Ok(self.add(Keyed::new(schema, arrange, Some(expiry))))
    }

    /// States whose time to live is measured by this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// The job's clock, which measures the time to live of these states.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A time to live measured by the clock of these states.
    pub(super) fn life(&self, ttl: Ttl) -> Life {
        Life { ttl, clock: self.clock.clone() }
    }

    /// One value per key and namespace.
    ///
    /// # Errors
    /// The name is taken.
    pub fn windowed<K: Key, V: Data>(&mut self, name: &str, meaning: Meaning<V>) -> Result<Handle<Windowed<K, V>>, Error> {
        let (schema, arrange) = self.meant::<K, V>(name, " and time", meaning)?;
        Ok(self.add(Windowed::new(schema, arrange)))
    }

    /// A set of timers.
    ///
    /// # Errors
    /// The name is taken.
    pub fn timers<K: Key>(&mut self, name: &str) -> Result<Handle<Timers<K>>, Error> {
        let schema = self.claim(name, format!("{TIMERS} by {}", K::schema()), Vec::new())?;
        Ok(self.add(Timers::new(schema)))
    }

    /// A map that is the same in all instances.
    ///
    /// # Errors
    /// The name is taken.
    pub fn broadcast<M: Key + Sync, V: Stored + Sync>(&mut self, name: &str) -> Result<Handle<Broadcast<M, V>>, Error> {
        let schema = self.claim(name, format!("broadcast/1<{}, {}>", M::schema(), V::schema()), Vec::new())?;
        Ok(self.add(Broadcast::new(schema)))
    }

    /// A set of moments that are due for all keys.
    ///
    /// # Errors
    /// The name is taken.
    pub fn due(&mut self, name: &str) -> Result<Handle<Due>, Error> {
        let schema = self.claim(name, DUE.to_owned(), Vec::new())?;
        Ok(self.add(Due::new(schema)))
    }

    /// How far event time has advanced in each key group.
    ///
    /// # Errors
    /// The name is taken.
    pub fn reached(&mut self, name: &str) -> Result<Handle<Reached>, Error> {
        let schema = self.claim(name, REACHED.to_owned(), Vec::new())?;
        Ok(self.add(Reached::new(schema)))
    }

    /// The schemas of the declared states, in order of declaration.
    #[must_use]
    pub fn schemas(&self) -> Vec<Schema> {
        self.states.iter().map(|state| state.borrow().schema().clone()).collect()
    }
}

/// The harness's side of the states.
impl States {
    /// Binds each state to its number in `ids`, which are in the order of [`States::schemas`]. `stored`: the disk holds rows of them.
    pub(crate) fn bind(&mut self, instance: Instance, ids: &[u8], stored: bool) -> Result<(), Error> {
        let instance = Rc::new(instance);
        for (state, id) in self.states.iter().zip(ids) {
            state.borrow_mut().bind(*id, &instance, stored)?;
        }
        self.instance = Some(instance);
        Ok(())
    }

    /// The instance that the states are bound to.
    pub(crate) fn instance(&self) -> Option<&Rc<Instance>> {
        self.instance.as_ref()
    }

    /// Restores a row into the state at this place in [`States::schemas`].
    pub(crate) fn restore_row(&self, place: usize, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.states.get(place).map_or(Ok(()), |state| state.borrow_mut().restore_row(key, value))
    }

    /// Whether every instance holds the whole state at this place.
    pub(crate) fn whole(&self, place: usize) -> bool {
        self.states.get(place).is_some_and(|state| state.borrow().whole())
    }

    /// Restores the state at this place from the rows of all former instances.
    pub(crate) fn restore_whole(&self, place: usize, rows: &mut AllRows<'_>) -> Result<(), Error> {
        self.states.get(place).map_or(Ok(()), |state| state.borrow_mut().restore_whole(rows))
    }

    /// Re-encodes a value of the state at this place in [`States::schemas`], with its parts rearranged by `places`.
    pub(crate) fn arranged(&self, place: usize, value: &[u8], places: &[Option<usize>]) -> Result<Vec<u8>, Error> {
        self.states.get(place).map_or_else(|| Ok(value.to_vec()), |state| state.borrow().arranged(value, places))
    }

    /// Whether the state at this place is part of every snapshot in full.
    pub(crate) fn full(&self, place: usize) -> bool {
        self.states.get(place).is_some_and(|state| state.borrow().full())
    }

    /// Restores what [`States::freeze`] of one former instance returned.
    pub(crate) fn restore_meta(&self, meta: &Json) -> Result<(), Error> {
        for state in &self.states {
            let mut state = state.borrow_mut();
            let of_state = meta.get(&state.schema().name).cloned();
            if let Some(of_state) = of_state {
                state.restore_meta(&of_state)?;
            }
        }
        Ok(())
    }

    /// Begins a snapshot of everything as it is now. Returns the metadata of the states, by name.
    pub(crate) fn freeze(&mut self) -> Result<Json, Error> {
        let mut all = Map::new();
        for state in &self.states {
            let mut state = state.borrow_mut();
            let meta = state.freeze()?;
            if !meta.is_null() {
                all.insert(state.schema().name.clone(), meta);
            }
        }
        if let Some(instance) = &self.instance {
            instance.frozen.set(true);
        }
        self.sweeping = 0;
        Ok(Json::Object(all))
    }

    /// The floors of the states that have namespaces: all namespaces below are over.
    pub(crate) fn floors(&self, ids: &[u8]) -> Vec<Floor> {
        let floor = |(state, id): (&Rc<RefCell<dyn Persistent>>, &u8)| Some(Floor { state: *id, least: state.borrow().floor()? });
        self.states.iter().zip(ids).filter_map(floor).collect()
    }

    /// Captures up to about `most` entries of the snapshot in progress. Returns whether the sweep is complete.
    pub(crate) fn sweep(&mut self, mut most: usize) -> Result<bool, Error> {
        while let Some(state) = self.states.get(self.sweeping) {
            match state.borrow_mut().sweep(most)? {
                Some(left) => most = left,
                None => return Ok(false),
            }
            self.sweeping += 1;
        }
        Ok(true)
    }

    /// Ends the snapshot in progress: its rows have arrived where they can be read.
    pub(crate) fn release(&self) {
        if let Some(instance) = &self.instance {
            instance.frozen.set(false);
        }
        self.states.iter().for_each(|state| state.borrow_mut().release());
    }

    /// Whether lookups are worth preparing by [`States::prefetch`].
    pub(crate) fn scattered(&self) -> bool {
        self.states.iter().any(|state| state.borrow().scattered())
    }

    /// Loads from disk what these records will ask for, in one read per state. States with keys of another type are left alone.
    pub(crate) fn prefetch<K: 'static>(&self, records: &Upcoming<K>) -> Result<(), Error> {
        self.states.iter().try_for_each(|state| state.borrow_mut().prefetch(records))
    }

    /// Makes room for a few thousand more records. Drops some expired entries from memory, and evicts others if the instance is over its
    /// budget or would be with those records. Longer work is spread over several calls.
    pub(crate) fn relieve(&self) -> Result<(), Error> {
        self.states.iter().for_each(|state| state.borrow_mut().expire());
        let Some(instance) = self.instance.as_ref().filter(|instance| !instance.in_memory()) else { return Ok(()) };
        let (mut bytes, mut pinned) = (0, 0);
        for state in &self.states {
            let mut state = state.borrow_mut();
            state.settle();
            state.weigh();
            *(if state.full() { &mut pinned } else { &mut bytes }) += state.bytes();
        }
        // Timers stay in memory. Millions of them must not leave the other states without a cache.
        let left = instance.budget.checked_sub(bytes + pinned.min(instance.budget / 2));
        let victims = match left {
            None => Victims::Any,
            Some(left) if left < self.states.iter().map(|state| state.borrow().growth()).sum() => Victims::Full,
            Some(_) => return Ok(()),
        };
        self.states.iter().try_for_each(|state| state.borrow_mut().evict(victims, PIECE).map(|_| ()))
    }

    /// The number of entries in memory.
    pub(super) fn count(&self) -> usize {
        self.states.iter().map(|state| settled(state).len()).sum()
    }

    /// Updates the metrics.
    pub(crate) fn tell(&self) {
        if let Some(instance) = &self.instance {
            let (entries, bytes) = self.states.iter().fold((0, 0), |(entries, bytes), state| {
                let state = settled(state);
                (entries + state.len(), bytes + state.bytes())
            });
            instance.tell(entries, bytes);
        }
    }
}

/// Borrows the state with its size brought up to date.
fn settled(state: &RefCell<dyn Persistent>) -> RefMut<'_, dyn Persistent> {
    let mut state = state.borrow_mut();
    state.settle();
    state
}

/// The number of entries of a state evicted at once. RocksDB takes many sorted rows at a quarter of the cost of single ones; more would
/// delay the records.
const PIECE: usize = 4_096;
