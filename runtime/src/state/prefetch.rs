//! Asks the processor to fetch memory that will be needed soon.

/// The size of a line of the processor's cache in bytes.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Starts fetching the bytes of `value` into the processor's cache, without waiting for them. What it owns elsewhere is left alone. Does
/// nothing on processors other than x86-64.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub(super) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        let start = std::ptr::from_ref(value).cast::<i8>();
        for offset in (0..size_of::<T>()).step_by(LINE).chain(size_of::<T>().checked_sub(1)) {
            #[allow(unsafe_code, reason = "there is no safe way to say it in stable Rust")]
            // SAFETY: the instruction belongs to SSE, which every x86-64 has. It is a hint: it neither reads nor writes, and never faults.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset));
            }
        }
    }
}
