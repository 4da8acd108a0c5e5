//! Lines from a TCP connection, which this side opens; read on worker 0.
//!
//! **Promises** nothing across failures: a line is delivered at most once. What the other side sends while nobody is connected is lost, and so is what was
//! read after the last checkpoint when a job is started again. Within a connection lines come whole and in order.
//!
//! A connection that ends or breaks is opened again, after a wait that doubles up to five seconds; a broken one drops the line that it cut off.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tidegate_rows::format::Format;
use tidegate_runtime::source::{Batch, Poll, Reader, Resumed, Source, SourceContext, SplitId};
use tidegate_runtime::{Error, Kind};

use crate::bad::BadRecords;
use crate::counted::Counted;
use crate::entry::{Entry, OnBad};
use crate::handover::{Count, Nothing, Outlet, Parcel, Stop, read_on_thread};
use crate::kinds;
use crate::split::{Pace, Split};

/// The first wait before a connection is opened again.
const FIRST: Duration = Duration::from_millis(100);

/// The longest.
const LONGEST: Duration = Duration::from_secs(5);

/// Reads lines from a host and a port.
pub struct SocketSource<F> {
    address: (String, u16),
    format: Arc<F>,
    on_bad: OnBad,
    reconnect: bool,
}

impl<F: Format> SocketSource<F> {
    /// The lines that this host sends to whoever connects to this port.
    pub fn new(host: impl Into<String>, port: u16, format: F) -> Self {
        Self { address: (host.into(), port), format: Arc::new(format), on_bad: OnBad::default(), reconnect: true }
    }

    /// What happens to bad records.
    #[must_use]
    pub fn on_bad(self, on_bad: OnBad) -> Self {
        Self { on_bad, ..self }
    }

    /// Ends with the first connection, and fails if there is none.
    #[must_use]
    pub fn once(self) -> Self {
        Self { reconnect: false, ..self }
    }
}

impl<F: Format> Source<Entry<F::Item>> for SocketSource<F> {
    fn kind(&self) -> Kind {
        kinds::SOCKET
    }

    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Entry<F::Item>>>, Error> {
        if context.worker != 0 {
            return Ok(Box::new(Nothing));
        }
        let line = Arc::new(Line::default());
        let mut thread = Thread {
            address: self.address.clone(),
            name: format!("{}:{}", self.address.0, self.address.1),
            format: Arc::clone(&self.format),
            bad: BadRecords::new(self.on_bad),
            reconnect: self.reconnect,
            line: Arc::clone(&line),
        };
        let reader = read_on_thread("socket source", context, Vec::new(), move |outlet| thread.run(outlet))?;
        Ok(Box::new(Hanging { reader, line }))
    }
}

/// The connection, which either side can end.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    hung_up: Condvar,
    /// Whether reading failed, as opposed to what was read.
    broken: AtomicBool,
}

#[derive(Default)]
struct State {
    stream: Option<TcpStream>,
    hung_up: bool,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, (host, port): &(String, u16)) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((host.as_str(), *port))?;
        self.state().stream = Some(stream.try_clone()?);
        self.broken.store(false, Ordering::Relaxed);
        Ok(stream)
    }

    /// Waits before the next try. Says whether there is to be one.
    fn wait(&self, wait: Duration) -> bool {
        let (state, _) =
            self.hung_up.wait_timeout_while(self.state(), wait, |state| !state.hung_up).unwrap_or_else(PoisonError::into_inner);
        !state.hung_up
    }

    fn hang_up(&self) {
        let mut state = self.state();
        state.hung_up = true;
        if let Some(stream) = state.stream.take() {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.hung_up.notify_all();
    }
}

/// A reader that ends the connection when it is dropped.
struct Hanging<T> {
    reader: Box<dyn Reader<T>>,
    line: Arc<Line>,
}

impl<T> Drop for Hanging<T> {
    fn drop(&mut self) {
        self.line.hang_up();
    }
}

impl<T: 'static> Reader<T> for Hanging<T> {
    fn poll(&mut self) -> Result<Poll<T>, Error> {
        self.reader.poll()
    }

    fn is_vacant(&self) -> bool {
        self.reader.is_vacant()
    }

    fn resumed(&mut self) -> Option<Vec<Resumed>> {
        self.reader.resumed()
    }

    fn completed(&mut self, positions: &[Json]) {
        self.reader.completed(positions);
    }
}

/// What the thread that reads has.
struct Thread<F> {
    address: (String, u16),
    name: String,
    format: Arc<F>,
    bad: BadRecords,
    reconnect: bool,
    line: Arc<Line>,
}

impl<F: Format> Thread<F> {
    fn run(&mut self, outlet: &Outlet<Entry<F::Item>>) -> Result<(), Stop> {
        // Event time waits for the first line, however long that takes.
        outlet.send(Parcel { batch: Batch::new(SplitId(0), Vec::new()), count: Count::default() })?;
        let mut wait = FIRST;
        loop {
            let ended = match self.line.connect(&self.address) {
                Err(error) if self.reconnect => format!("`{}` can't be connected to: {error}", self.name),
                Err(error) => return Err(Error::external(format!("`{}` can't be connected to", self.name), error).into()),
                Ok(stream) => match self.read(stream, outlet, &mut wait) {
                    Ok(()) if self.reconnect => format!("`{}` has ended the connection", self.name),
                    Ok(()) => return Ok(()),
                    Err(Stop::Failed(error, _)) if self.reconnect && self.line.broken.load(Ordering::Relaxed) => error.to_string(),
                    Err(stop) => return Err(stop),
                },
            };
            tracing::warn!("{ended}; the next try is in {} ms", wait.as_millis());
            if !self.line.wait(wait) {
                return Err(Stop::Gone);
            }
            wait = (wait * 2).min(LONGEST);
        }
    }

    /// Reads a connection to its end.
    fn read(&mut self, stream: TcpStream, outlet: &Outlet<Entry<F::Item>>, wait: &mut Duration) -> Result<(), Stop> {
        let input = Counted::new(Input { stream, line: Arc::clone(&self.line) });
        let mut split = Split::new(SplitId(0), self.name.clone(), input, self.format.decoder());
        loop {
            let mut parcel = split.batch(Pace::Eager, &mut self.bad)?;
            let last = parcel.batch.last;
            // The source goes on with the next connection.
            parcel.batch.last &= !self.reconnect;
            if parcel.count.records > 0 {
                *wait = FIRST;
            }
            outlet.send(parcel)?;
            if last {
                return Ok(());
            }
        }
    }
}

/// The bytes of a connection.
struct Input {
    stream: TcpStream,
    line: Arc<Line>,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer);
        if read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.line.broken.store(true, Ordering::Relaxed);
        }
        read
    }
}
