//! Functions over whole windows.

use tidegate_runtime::Error;
use tidegate_runtime::state::{States, Stored};

use super::Bounds;

/// A function called when a window fires, with the window's key, contents and state.
///
/// `I` is the contents of the window: all its records (`[Record<T>]`), or the result of an aggregate.
pub trait WindowFunction<K, I: ?Sized>: 'static {
    /// The type of the records it emits, with the event time of the window's last millisecond.
    type Out: Clone + 'static;
    /// The state that it keeps per window, from firing to firing, until the window is over.
    type State: Stored;

    /// Declares states per key that all windows of the key share. Called once on every worker when the job is built.
    ///
    /// # Errors
    /// An error here means that the job can't be built.
    fn open(&mut self, _states: &mut States) -> Result<(), Error> {
        Ok(())
    }

    /// Called when the window fires.
    ///
    /// # Errors
    /// An error here fails the job.
    fn process(&mut self, input: &I, context: &mut WindowContext<'_, K, Self::State, Self::Out>) -> Result<(), Error>;

    /// Called when the window is over. `state` is the window's state.
    ///
    /// # Errors
    /// An error here fails the job.
    fn clear(&mut self, _key: &K, _window: Bounds, _state: Option<Self::State>) -> Result<(), Error> {
        Ok(())
    }
}

/// What a window function can see and do when its window fires.
pub struct WindowContext<'a, K, S, Out> {
    pub(super) key: &'a K,
    pub(super) window: Bounds,
    pub(super) watermark: i64,
    pub(super) now: i64,
    /// The state of this window. It is lost when windows merge.
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

    /// The current watermark, in milliseconds since 1970.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The time of the wall clock, in milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Emits `value`.
    pub fn emit(&mut self, value: Out) {
        self.out.push(value);
    }
}
