//! The events of the side-by-side benchmark: event i is a pure function of i, the same to the bit in every engine that is compared.

use serde::{Deserialize, Serialize};
use tidegate::connectors::entry::Entry;
use tidegate::rows::{Row, Value};
use tidegate::runtime::source::{Batch, Poll, Reader, Source, SourceContext, SplitId};
use tidegate::runtime::state::Stored;
use tidegate::runtime::{Error, Record};

/// An event: user, kind, amount and event time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub user: u64,
    pub kind: u32,
    pub amount: f64,
    pub ts: i64,
}

impl Stored for Event {
    const SCHEMA: &'static str = "event/1";
}

/// The finalizer of splitmix64, without its increment.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Event `i` of a stream of `per_ms` events a millisecond over `keys` users.
#[inline]
pub fn event(i: u64, keys: u64, per_ms: u64) -> Event {
    let h = mix(i.wrapping_add(0x9E37_79B9_7F4A_7C15));
    Event { user: h % keys, kind: ((h >> 40) & 7) as u32, amount: (h & 1023) as f64 / 10.0, ts: (i / per_ms) as i64 }
}

/// The first `count` events, dealt to the workers in turn.
#[derive(Clone, Copy)]
pub struct Events {
    pub count: u64,
    pub keys: u64,
    pub per_ms: u64,
}

/// The same events as rows of a job file.
pub struct EventRows(pub Events);

struct EventReader<T> {
    events: Events,
    next: u64,
    step: u64,
    make: fn(Event) -> T,
}

fn reader<T: 'static>(events: Events, context: &SourceContext, make: fn(Event) -> T) -> Box<dyn Reader<T>> {
    Box::new(EventReader { events, next: context.worker as u64, step: context.workers as u64, make })
}

impl Source<Event> for Events {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Event>>, Error> {
        Ok(reader(*self, &context, |event| event))
    }
}

impl Source<Entry<Row>> for EventRows {
    fn open(&self, context: SourceContext) -> Result<Box<dyn Reader<Entry<Row>>>, Error> {
        Ok(reader(self.0, &context, |e| {
            Entry::Good(Row(Box::new([Value::Int(e.user as i64), Value::Int(e.kind.into()), Value::Double(e.amount), Value::Int(e.ts)])))
        }))
    }
}

impl<T: 'static> Reader<T> for EventReader<T> {
    fn poll(&mut self) -> Result<Poll<T>, Error> {
        let Events { count, keys, per_ms } = self.events;
        if self.next >= count {
            return Ok(Poll::Finished);
        }
        let indices = (self.next..count).step_by(self.step as usize).take(1_024);
        let records: Vec<_> = indices.map(|i| event(i, keys, per_ms)).map(|e| Record::new(e.ts, (self.make)(e))).collect();
        self.next += self.step * records.len() as u64;
        Ok(Poll::Batch(Batch::new(SplitId(0), records)))
    }
}
