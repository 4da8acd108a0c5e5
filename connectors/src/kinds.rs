//! The kinds of connectors, as savepoints know them. They are stored, so a released kind must never be renamed.

use tidegate_runtime::Kind;

/// Files.
pub const FILE: Kind = Kind::new("file");
/// A generator of rows.
pub const GENERATOR: Kind = Kind::new("generator");
/// Kafka topics.
pub const KAFKA: Kind = Kind::new("kafka");
/// Lines of a TCP connection.
pub const SOCKET: Kind = Kind::new("socket");
/// Standard input.
pub const STDIN: Kind = Kind::new("stdin");
/// Standard output.
pub const STDOUT: Kind = Kind::new("stdout");
/// A function that makes or takes records.
pub const FUNCTION: Kind = Kind::new("function");
/// A list in memory.
pub const MEMORY: Kind = Kind::new("memory");

/// The kinds of sources.
pub const SOURCES: &[Kind] = &[FILE, FUNCTION, GENERATOR, KAFKA, SOCKET, STDIN];
/// The kinds of sinks.
pub const SINKS: &[Kind] = &[FILE, FUNCTION, KAFKA, MEMORY, STDOUT];
