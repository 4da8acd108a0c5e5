//! Measures the memory of a key with one partial match open, which is what most keys have if they have anything.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tidegate_cep::{CepLogic, Emitted, Pattern, Search, Where};
use tidegate_runtime::operator::{Context, Logic, Outbox};
use tidegate_runtime::{Record, Watermark};

/// Counts the bytes that are allocated.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it passes every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// An event of 32 bytes: a key, a letter, and padding for what else an event may carry.
type Event = (u64, char, f64, i64);

fn step(letter: char) -> Where<Event> {
    Where::event(move |(_, l, ..): &Event| *l == letter)
}

#[test]
fn a_key_with_one_open_partial_match_takes_200_bytes_at_most() {
    const KEYS: u64 = 1_000_000;
    let day = Duration::from_secs(86_400);
    let a = || Pattern::begin("a").when(step('a'));
    let searches = [
        ("shared", Search::new(a().followed_by("b").when(step('b')).within(day)).unwrap().without_timeouts()),
        ("with timeouts", Search::new(a().followed_by("b").when(step('b')).within(day)).unwrap()),
        ("absence", Search::new(a().not_followed_by("b").when(step('b')).within(day)).unwrap()),
    ];
    for (name, search) in searches {
        let before = BYTES.load(Relaxed);
        let mut logic = CepLogic::new(|(key, ..): &Event| *key, search, Emitted::of, &mut Context::default()).unwrap();
        let mut out = Outbox::default();
        for key in 0..KEYS {
            logic.record(Record::new(key as i64, (key, 'a', 0.0, 0)), &mut out).unwrap();
            if key % 1_000 == 999 {
                logic.watermark(Watermark(key as i64), &mut out).unwrap();
                out.set_watermark(Watermark(key as i64));
            }
        }
        assert_eq!(logic.keys().unwrap().iter().filter(|(_, state)| state.runs().open() == 1).count() as u64, KEYS);
        let each = (BYTES.load(Relaxed) - before) as u64 / KEYS - size_of::<u64>() as u64;
        println!("{name}: {each} bytes");
        assert!(each <= 200, "{name}: {each} bytes a key");
    }
}
