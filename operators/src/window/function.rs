//! Functions of whole windows.

use tidegate_runtime::Error;
use tidegate_runtime::state::{States, Stored};

use super::Bounds;

/// What a window is when it fires: its key, what it holds, and a state of its own.
///
/// `I` is what the window holds: all its records (`[Record<T>]`), or the result of an aggregate.
pub trait WindowFunction<K, I: ?Sized>: 'static {
    /// What it emits, with the event time of the window's last millisecond.
    type Out: Clone + 'static;
    /// What it remembers of one window from firing to firing, until the window is over.
    type State: Stored;

    /// Declares states by key, over all windows. Called once on every worker when the job is built.
    ///
    /// # Errors
    /// The job can't be built for this cause.
    fn open(&mut self, _states: &mut States) -> Result<(), Error> {
        Ok(())
    }

    /// The window fires.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn process(&mut self, input: &I, context: &mut WindowContext<'_, K, Self::State, Self::Out>) -> Result<(), Error>;

    /// The window is over; `state` is what was remembered of it.
    ///
    /// # Errors
    /// The job fails with this cause.
    fn clear(&mut self, _key: &K, _window: Bounds, _state: Option<Self::State>) -> Result<(), Error> {
        Ok(())
    }
}

/// What a window function sees of its surroundings.
pub struct WindowContext<'a, K, S, Out> {
    pub(super) key: &'a K,
    pub(super) window: Bounds,
    pub(super) watermark: i64,
    pub(super) now: i64,
    /// What is remembered of this window. Windows that merge don't keep it.
    pub state: &'a mut Option<S>,
    pub(super) out: &'a mut Vec<Out>,
}

impl<K, S, Out> WindowContext<'_, K, S, Out> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &K {
        self.key
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Bounds {
        self.window
    }

    /// How far event time has come.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Emits `value`.
    pub fn emit(&mut self, value: Out) {
        self.out.push(value);
    }
}
