//! Standard input: an unbounded stream of lines, read on worker 0.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_runtime::Error;
use tidegate_runtime::Kind;
use tidegate_runtime::source::{Batch, Reader, Source, SourceContext, SplitId};

use crate::bad::BadRecords;
use crate::counted::Counted;
use crate::entry::{Entry, OnBad};
use crate::handover::{Count, Nothing, Parcel, read_on_thread};
use crate::kinds;
use crate::split::{Pace, Split};
use tidegate_rows::format::Format;

/// The lines of standard input, handed over as they arrive, without waiting for full batches.
pub struct StdinSource<F> {
    format: Arc<F>,
    on_bad: OnBad,
    /// Replaces standard input.
    input: Mutex<Option<Box<dyn Read + Send>>>,
}

impl<F: Format> StdinSource<F> {
    /// Reads standard input in this format.
    pub fn new(format: F) -> Self {
        Self { format: Arc::new(format), on_bad: OnBad::default(), input: Mutex::new(None) }
    }

    /// Reads `input` once instead of standard input.
    pub fn reading(format: F, input: impl Read + Send + 'static) -> Self {
        Self { input: Mutex::new(Some(Box::new(input))), ..Self::new(format) }
    }

    /// What to do about bad records (default: skip).
    #[must_use]
    pub fn on_bad(self, on_bad: OnBad) -> Self {
        Self { on_bad, ..self }
    }
}

impl<F: Format> Source<Entry<F::Item>> for StdinSource<F> {
    fn kind(&self) -> Kind {
        kinds::STDIN
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Entry<F::Item>>>, Error> {
        if context.worker != 0 {
            return Ok(Box::new(Nothing));
        }
        let given = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        let input = Counted::new(given.unwrap_or_else(|| Box::new(io::stdin())));
        let mut split = Split::new(SplitId(0), "stdin".into(), input, self.format.decoder());
        let mut bad = BadRecords::new(self.on_bad);
        read_on_thread("stdin source", context, Vec::new(), move |outlet| {
            // Announce the split: event time must wait for the first line, however long that takes.
            outlet.send(Parcel { batch: Batch::new(SplitId(0), Vec::new()), count: Count::default() })?;
            loop {
                let parcel = split.batch(Pace::Eager, &mut bad)?;
                let last = parcel.batch.last;
                outlet.send(parcel)?;
                if last {
                    return Ok(());
                }
            }
        })
    }
}
