//! Places at which a test can kill the process.
//!
//! `TIDEGATE_FAILPOINT=name` ends the process where `name` is hit for the first time, `name:N` where it is hit for the N-th time. The process ends at
//! once, as by SIGKILL: nothing is flushed and no destructor runs. Without the variable, a failpoint costs one load of an atomic.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// The environment variable that arms a failpoint.
pub const VARIABLE: &str = "TIDEGATE_FAILPOINT";

const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ARMED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
static HITS: AtomicU64 = AtomicU64::new(0);

/// Ends the process if this is the failpoint and the hit that `TIDEGATE_FAILPOINT` names.
#[inline]
pub fn hit(name: &str) {
    if STATE.load(Relaxed) != OFF {
        look(name);
    }
}

#[cold]
fn look(name: &str) {
    let Ok(wanted) = std::env::var(VARIABLE) else {
        STATE.store(OFF, Relaxed);
        return;
    };
    STATE.store(ARMED, Relaxed);
    let (wanted, nth) = parse(&wanted);
    if wanted == name && HITS.fetch_add(1, Relaxed) + 1 == nth {
        std::process::abort();
    }
}

/// The name and the number of the hit in `wanted`.
fn parse(wanted: &str) -> (&str, u64) {
    wanted.rsplit_once(':').and_then(|(name, nth)| Some((name, nth.parse().ok()?))).unwrap_or((wanted, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_hit_is_the_first_unless_one_is_named() {
        assert_eq!(parse("publish"), ("publish", 1));
        assert_eq!(parse("publish:3"), ("publish", 3));
        assert_eq!(parse("a:b"), ("a:b", 1));
    }

    /// Runs the test below in its own process, which prints how far it got.
    fn steps_until(failpoint: Option<&str>) -> (bool, usize) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "failpoint::tests::victim", "--ignored", "--nocapture"]).env_remove(VARIABLE);
        command.envs(failpoint.map(|f| (VARIABLE, f)));
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).matches("step").count())
    }

    #[test]
    #[ignore = "run by the test below, in a process that dies"]
    fn victim() {
        for _ in 0..4 {
            println!("step");
            hit("other");
            hit("here");
        }
    }

    #[test]
    fn a_process_dies_at_the_hit_it_is_told_to() {
        assert_eq!(steps_until(None), (true, 4));
        assert_eq!(steps_until(Some("elsewhere")), (true, 4));
        assert_eq!(steps_until(Some("here")), (false, 1));
        assert_eq!(steps_until(Some("here:3")), (false, 3));
        assert_eq!(steps_until(Some("here:5")), (true, 4));
    }
}
