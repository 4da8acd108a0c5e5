//! Standard error: log lines, notes and the progress line, which must not run into each other.

use std::io::{IsTerminal, Write, stderr};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

/// How log lines are written.
#[derive(Clone, Copy, Default, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// Begins logging to standard error.
pub fn init(format: LogFormat, verbose: bool) {
    let level = if verbose { LevelFilter::INFO } else { LevelFilter::WARN };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(|| Line).with_target(false);
    // Fails only if logging was begun already.
    let _ = match format {
        LogFormat::Text => builder.without_time().with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
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
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Draws the progress line anew.
pub fn progress(line: &str) {
    let mut err = stderr().lock();
    let _ = write!(err, "\r\x1b[2K{line}");
    let _ = err.flush();
}
