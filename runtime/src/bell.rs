//! The bell that wakes sleeping sources.
//!
//! A source with nothing to read has nothing to do until its reader wakes it, a deadline comes, or something changes that all sources
//! watch: the board, the epoch, the tick, or what is part of a complete checkpoint. Whoever changes one of these rings the bell. A source
//! takes its seat before it checks them, so any change that it did not see comes later and rings for it.

use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use std::sync::{Arc, Mutex, PoisonError};

use crate::source::Waker;

/// Wakes the sources that sleep.
#[derive(Default)]
pub(crate) struct Bell(Arc<Room>);

#[derive(Default)]
struct Room {
    sleepers: AtomicUsize,
    seats: Mutex<Vec<Arc<Seat>>>,
}

/// The seat of one source.
struct Seat {
    taken: AtomicBool,
    waker: Waker,
}

/// A source's handle to its seat.
pub(crate) struct Sleeper {
    room: Arc<Room>,
    seat: Arc<Seat>,
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bell").field("sleepers", &self.0.sleepers).finish_non_exhaustive()
    }
}

impl Bell {
    /// Announces a change. Costs only a fence while nobody sleeps.
    pub(crate) fn ring(&self) {
        fence(SeqCst);
        if self.0.sleepers.load(Relaxed) == 0 {
            return;
        }
        for seat in self.0.seats.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if self.0.vacate(seat) {
                seat.waker.wake();
            }
        }
    }

    /// Adds a seat for a source that `waker` wakes.
    pub(crate) fn sleeper(&self, waker: Waker) -> Sleeper {
        let seat = Arc::new(Seat { taken: AtomicBool::new(false), waker });
        self.0.seats.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&seat));
        Sleeper { room: Arc::clone(&self.0), seat }
    }
}

impl Room {
    fn vacate(&self, seat: &Seat) -> bool {
        let taken = seat.taken.swap(false, SeqCst);
        if taken {
            self.sleepers.fetch_sub(1, SeqCst);
        }
        taken
    }
}

impl Sleeper {
    /// Takes the seat: from now on the next change wakes the source. Returns whether the seat was already taken, which means that nothing
    /// has changed since.
    pub(crate) fn take_seat(&self) -> bool {
        // Count first, because the bell decrements the count for every source it finds seated.
        self.room.sleepers.fetch_add(1, SeqCst);
        let seated = self.seat.taken.swap(true, SeqCst);
        if seated {
            self.room.sleepers.fetch_sub(1, SeqCst);
        }
        fence(SeqCst);
        seated
    }

    /// Leaves the seat: changes no longer wake the source.
    pub(crate) fn leave(&self) {
        self.room.vacate(&self.seat);
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.leave();
        self.room.seats.lock().unwrap_or_else(PoisonError::into_inner).retain(|seat| !Arc::ptr_eq(seat, &self.seat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sits_is_woken_once_and_who_has_gone_is_not_counted() {
        let bell = Bell::default();
        let seated = || bell.0.sleepers.load(SeqCst);
        let [one, two] = [(); 2].map(|()| bell.sleeper(Waker::disconnected()));
        assert_eq!((one.take_seat(), one.take_seat()), (false, true));
        assert_eq!(seated(), 1);
        two.take_seat();
        two.leave();
        two.leave();
        assert_eq!(seated(), 1);
        bell.ring();
        assert_eq!(seated(), 0);
        assert!(!one.take_seat(), "something has changed");
        drop(one);
        assert_eq!((seated(), bell.0.seats.lock().unwrap().len()), (0, 1));
    }
}
