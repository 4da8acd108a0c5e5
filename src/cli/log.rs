//! Standard error: log lines, notes and the progress line, which must not run into each other.

use std::io::{IsTerminal, Write, stderr};

use std::sync::OnceLock;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// How log lines are written.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// The target of notes, which are shown at every level.
const NOTE: &str = "note";

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Whether everything on standard error is JSON, one object per line.
pub fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Starts logging to standard error.
pub fn init(format: LogFormat, verbose: bool) {
    let level = if verbose { LevelFilter::INFO } else { LevelFilter::WARN };
    let shown = Targets::new().with_default(level).with_target(NOTE, LevelFilter::INFO);
    let lines = fmt::layer().with_writer(|| Line).with_target(false);
    let lines = match format {
        LogFormat::Text => lines.without_time().with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // Fails only if logging has already started. The filter applies to all layers: a filter on one layer loses an event after a library has
    // asked whether its own events would be shown.
    let _ = registry().with(shown).with(lines).try_init();
    let _ = FORMAT.set(format);
}

/// Writes log lines over the progress line, which the next tick draws again below them.
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut err = stderr().lock();
        if err.is_terminal() {
            err.write_all(b"\r\x1b[2K")?;
        }
        err.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stderr().flush()
    }
}

/// Shows a note to the user.
pub fn note(text: &str) {
    if is_json() {
        return tracing::info!(target: NOTE, "{text}");
    }
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Redraws the progress line.
pub fn progress(line: &str) {
    let mut err = stderr().lock();
    let _ = write!(err, "\r\x1b[2K{line}");
    let _ = err.flush();
}
