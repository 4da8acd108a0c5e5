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
    /// A JSON object a line
    Json,
}

/// Of notes, which are shown whatever the level is.
const NOTE: &str = "note";

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Is everything on standard error a JSON object a line?
pub fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Begins logging to standard error.
pub fn init(format: LogFormat, verbose: bool) {
    let level = if verbose { LevelFilter::INFO } else { LevelFilter::WARN };
    let shown = Targets::new().with_default(level).with_target(NOTE, LevelFilter::INFO);
    let lines = fmt::layer().with_writer(|| Line).with_target(false);
    let lines = match format {
        LogFormat::Text => lines.without_time().with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // Fails only if logging was begun already.
    // The filter is that of all layers: one of a layer of its own loses an event after a library has asked whether its own would be shown.
    let _ = registry().with(shown).with(lines).try_init();
    let _ = FORMAT.set(format);
}

/// Writes log lines over the progress line, which the next tick draws again below.
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

/// Says something to the person at the terminal.
pub fn note(text: &str) {
    if is_json() {
        return tracing::info!(target: NOTE, "{text}");
    }
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Draws the progress line anew.
pub fn progress(line: &str) {
    let mut err = stderr().lock();
    let _ = write!(err, "\r\x1b[2K{line}");
    let _ = err.flush();
}
