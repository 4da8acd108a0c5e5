//! The states of one operator instance together: declared by the operator, bound, snapshotted and relieved by its harness.

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
use super::persistent::{AllRows, Persistent, Schema};
use super::reached::Reached;
use super::timers::Timers;
use super::ttl::{Expiry, Life, Ttl};
use super::windowed::Windowed;
use super::{Key, Stored};
use crate::clock::Clock;
use crate::error::Error;
use crate::record::Data;

/// Hands out the states of one operator instance.
#[derive(Default)]
pub struct States {
    states: Vec<Rc<RefCell<dyn Persistent>>>,
    instance: Option<Rc<Instance>>,
    /// The state that the sweep of a snapshot has come to.
    sweeping: usize,
    clock: Clock,
}

/// An operator's hold on one of its states.
pub struct Handle<S>(Rc<RefCell<S>>);

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S> Handle<S> {
    /// The state, to be read.
    #[must_use]
    #[inline]
    pub fn borrow(&self) -> Ref<'_, S> {
        self.0.borrow()
    }

    /// The state, to be changed. Not to be held while another call into the same state is made.
    #[must_use]
    #[inline]
    pub fn borrow_mut(&self) -> RefMut<'_, S> {
        self.0.borrow_mut()
    }
}

/// The schema of timers, without that of their keys.
pub(super) const TIMERS: &str = "timers/1";

/// The schema of moments that are due.
pub(super) const DUE: &str = "due/1";

/// The schema of how far event time has come.
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

    /// The schema of a state by key, and how its values are put together.
    fn meant<K: Key, V>(&self, name: &str, by: &str, meaning: Meaning<V>) -> Result<(Schema, Option<Arrange<V>>), Error> {
        let Meaning { schema, fields, arrange } = meaning;
        Ok((self.claim(name, format!("{schema} by {}{by}", K::schema()), fields)?, arrange))
    }

    /// One value per key. Stored values of another meaning are not read.
    ///
    /// # Errors
    /// The name is taken.
    pub fn keyed<K: Key, V: Data>(&mut self, name: &str, meaning: Meaning<V>) -> Result<Handle<Keyed<K, V>>, Error> {
        let (schema, arrange) = self.meant::<K, V>(name, "", meaning)?;
        Ok(self.add(Keyed::new(schema, arrange, None)))
    }

    /// One value per key, that expires.
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

    /// The clock that their time to live is measured by: the job's.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A time to live by the clock of these states.
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

    /// Timers.
    ///
    /// # Errors
    /// The name is taken.
    pub fn timers<K: Key>(&mut self, name: &str) -> Result<Handle<Timers<K>>, Error> {
        let schema = self.claim(name, format!("{TIMERS} by {}", K::schema()), Vec::new())?;
        Ok(self.add(Timers::new(schema)))
    }

    /// A map that all instances hold alike.
    ///
    /// # Errors
    /// The name is taken.
    pub fn broadcast<M: Key + Sync, V: Stored + Sync>(&mut self, name: &str) -> Result<Handle<Broadcast<M, V>>, Error> {
        let schema = self.claim(name, format!("broadcast/1<{}, {}>", M::schema(), V::schema()), Vec::new())?;
        Ok(self.add(Broadcast::new(schema)))
    }

    /// Moments that are due for all keys.
    ///
    /// # Errors
    /// The name is taken.
    pub fn due(&mut self, name: &str) -> Result<Handle<Due>, Error> {
        let schema = self.claim(name, DUE.to_owned(), Vec::new())?;
        Ok(self.add(Due::new(schema)))
    }

    /// How far event time has come for each key group.
    ///
    /// # Errors
    /// The name is taken.
    pub fn reached(&mut self, name: &str) -> Result<Handle<Reached>, Error> {
        let schema = self.claim(name, REACHED.to_owned(), Vec::new())?;
        Ok(self.add(Reached::new(schema)))
    }

    /// What has been declared.
    #[must_use]
    pub fn schemas(&self) -> Vec<Schema> {
        self.states.iter().map(|state| state.borrow().schema().clone()).collect()
    }
}

/// What the harness does with the states of its operator.
impl States {
    /// Gives each state its number in `ids`, which are in the order of [`States::schemas`]; `stored`: the disk has rows of them.
    pub(crate) fn bind(&mut self, instance: Instance, ids: &[u8], stored: bool) -> Result<(), Error> {
        let instance = Rc::new(instance);
        for (state, id) in self.states.iter().zip(ids) {
            state.borrow_mut().bind(*id, &instance, stored)?;
        }
        self.instance = Some(instance);
        Ok(())
    }

    /// The instance the states are bound to.
    pub(crate) fn instance(&self) -> Option<&Rc<Instance>> {
        self.instance.as_ref()
    }

    /// The state of this place in [`States::schemas`] takes over a row.
    pub(crate) fn restore_row(&self, place: usize, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.states.get(place).map_or(Ok(()), |state| state.borrow_mut().restore_row(key, value))
    }

    /// Does every instance hold all of the state of this place?
    pub(crate) fn whole(&self, place: usize) -> bool {
        self.states.get(place).is_some_and(|state| state.borrow().whole())
    }

    /// The state of this place takes over the rows of all former instances.
    pub(crate) fn restore_whole(&self, place: usize, rows: &mut AllRows<'_>) -> Result<(), Error> {
        self.states.get(place).map_or(Ok(()), |state| state.borrow_mut().restore_whole(rows))
    }

    /// The bytes of a value of the state of this place in [`States::schemas`], with its parts in other places.
    pub(crate) fn arranged(&self, place: usize, value: &[u8], places: &[Option<usize>]) -> Result<Vec<u8>, Error> {
        self.states.get(place).map_or_else(|| Ok(value.to_vec()), |state| state.borrow().arranged(value, places))
    }

    /// Is the state of this place part of every snapshot in full?
    pub(crate) fn full(&self, place: usize) -> bool {
        self.states.get(place).is_some_and(|state| state.borrow().full())
    }

    /// The states take over what [`States::freeze`] of one former instance returned.
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

    /// A snapshot begins, of everything as it is now. Returns what is known of the states as wholes.
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

    /// Which namespaces are over, by the numbers of the states.
    pub(crate) fn floors(&self, ids: &[u8]) -> Vec<Floor> {
        let floor = |(state, id): (&Rc<RefCell<dyn Persistent>>, &u8)| Some(Floor { state: *id, least: state.borrow().floor()? });
        self.states.iter().zip(ids).filter_map(floor).collect()
    }

    /// Captures up to about `most` entries of the snapshot in progress. Returns whether that was all.
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

    /// The rows of the snapshot have arrived where they can be read.
    pub(crate) fn release(&self) {
        if let Some(instance) = &self.instance {
            instance.frozen.set(false);
        }
        self.states.iter().for_each(|state| state.borrow_mut().release());
    }

    /// Makes room for some thousand more records: takes some of what has expired out of memory, and evicts some of the rest if it is over the budget, or would be
    /// with them. What takes longer is done bit by bit, from call to call.
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
        // Millions of timers, which stay, must not leave the others without a cache.
        let left = instance.budget.checked_sub(bytes + pinned.min(instance.budget / 2));
        let victims = match left {
            None => Victims::Any,
            Some(left) if left < self.states.iter().map(|state| state.borrow().growth()).sum() => Victims::Full,
            Some(_) => return Ok(()),
        };
        self.states.iter().try_for_each(|state| state.borrow_mut().evict(victims, PIECE).map(|_| ()))
    }

    /// The entries in memory.
    pub(super) fn count(&self) -> usize {
        self.states.iter().map(|state| settled(state).len()).sum()
    }

    /// Tells the metrics what there is.
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

/// The state, with its size up to date.
fn settled(state: &RefCell<dyn Persistent>) -> RefMut<'_, dyn Persistent> {
    let mut state = state.borrow_mut();
    state.settle();
    state
}

/// The entries of a state evicted in one go: RocksDB takes many sorted rows at a quarter of the cost of single ones, and more would hold up the records.
const PIECE: usize = 4_096;
