//! The client of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::protocol::{Ended, Failure, Greeting, OperatorReport, Reply, Request, Status, VERSION};
use crate::home::control_path;

/// A connection to a running job.
#[derive(Debug)]
pub struct Client {
    dir: PathBuf,
    stream: BufReader<UnixStream>,
    greeting: Greeting,
}

/// Why a request got no answer, or which other answer it got.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No job listens there.
    #[error("no running job holds `{dir}` (a job can be asked if it takes checkpoints or names its `state.dir`)")]
    NoJob {
        /// The state directory.
        dir: PathBuf,
        /// Why the socket can't be connected to.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the job that holds `{dir}` ended before it answered")]
    Ended {
        /// The state directory.
        dir: PathBuf,
        /// What broke.
        #[source]
        source: io::Error,
    },
    /// The job speaks another version of the protocol.
    #[error(
        "the job that holds `{dir}` speaks version {spoken} of the protocol, and this program only {VERSION}: use the release that runs it"
    )]
    Version {
        /// The state directory.
        dir: PathBuf,
        /// Its version.
        spoken: u32,
    },
    /// The answer can't be parsed, or does not answer the request.
    #[error("the answer can't be understood: {line}")]
    Answer {
        /// The answer.
        line: String,
    },
    /// The job refused the request, or failed to carry it out.
    #[error("{}", .0.message)]
    Refused(Failure),
}

impl Client {
    /// Connects to the job with this state directory.
    ///
    /// # Errors
    /// No job runs there, or it speaks another version of the protocol.
    pub fn connect(dir: &Path) -> Result<Self, ClientError> {
        let no_job = |source| ClientError::NoJob { dir: dir.to_owned(), source };
        let stream = BufReader::new(UnixStream::connect(control_path(dir)).map_err(no_job)?);
        let nobody = Greeting { protocol: VERSION, tidegate: String::new(), job: String::new(), pid: 0 };
        let mut client = Self { dir: dir.to_owned(), stream, greeting: nobody };
        client.greeting = client.read()?;
        if client.greeting.protocol != VERSION {
            return Err(ClientError::Version { dir: client.dir, spoken: client.greeting.protocol });
        }
        Ok(client)
    }

    /// The greeting of the job.
    #[must_use]
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// The job refused, or ended before it answered.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        let line = request.to_line().map_err(|error| self.ended(error.into()))?;
        let written = writeln!(self.stream.get_mut(), "{line}");
        written.map_err(|error| self.ended(error))?;
        match self.read()? {
            Reply::Error(failure) => Err(ClientError::Refused(failure)),
            reply => Ok(reply),
        }
    }

    /// What the job is doing.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn status(&mut self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status {})? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// The counters of these operators, or of all if none are named.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn metrics(&mut self, operators: Vec<String>) -> Result<Vec<OperatorReport>, ClientError> {
        match self.ask(&Request::Metrics { operators })? {
            Reply::Metrics { operators } => Ok(operators),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes a savepoint while the job keeps running. Returns its place.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn savepoint(&mut self, to: String) -> Result<String, ClientError> {
        match self.ask(&Request::Savepoint { to })? {
            Reply::Savepoint { place } => Ok(place),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks the job to end by [`Request::Stop`], [`Request::Drain`] or [`Request::Cancel`], and waits until it has.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn end(&mut self, request: &Request) -> Result<Ended, ClientError> {
        match self.ask(request)? {
            Reply::Ended(ended) => Ok(ended),
            other => Err(unexpected(&other)),
        }
    }

    fn read<T: DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(self.ended(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => serde_json::from_str(&line).map_err(|_| ClientError::Answer { line: line.trim_end().to_owned() }),
            Err(error) => Err(self.ended(error)),
        }
    }

    fn ended(&self, source: io::Error) -> ClientError {
        ClientError::Ended { dir: self.dir.clone(), source }
    }
}

fn unexpected(reply: &Reply) -> ClientError {
    ClientError::Answer { line: serde_json::to_string(reply).unwrap_or_default() }
}
