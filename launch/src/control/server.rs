//! The server of the control socket.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use super::protocol::{Greeting, Refusal, Reply, Request, VERSION};
use crate::handle::{Ending, Handle};
use crate::home::control_path;

/// Why the control socket can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` can't be listened on, so the job can't be asked for anything (such a path has about 100 bytes at most)")]
pub struct ListenError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The longest request, in bytes.
const LONGEST: u64 = 64 << 10;

/// How long a client may take to read the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listens until it is dropped, across all runs of the job.
pub(crate) struct Server {
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Server {
    /// Listens in the state directory of the job.
    pub(crate) fn listen(dir: &Path, job: &Handle) -> Result<Self, ListenError> {
        let path = control_path(dir);
        let failed = |source| ListenError { path: path.clone(), source };
        // A socket file here was left by a process that was killed: this process holds the lock.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).map_err(failed)?;
        // Whoever can connect controls the job.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        let closed = Arc::new(AtomicBool::new(false));
        let (over, job) = (Arc::clone(&closed), job.clone());
        let accept = move || {
            for stream in listener.incoming().flatten() {
                if over.load(SeqCst) {
                    break;
                }
                let job = job.clone();
                // The client may have gone, or the machine may be out of threads: neither concerns the job.
                let _ = std::thread::Builder::new().name("control".to_owned()).spawn(move || serve(&stream, &job));
            }
        };
        std::thread::Builder::new().name("control".to_owned()).spawn(accept).map_err(failed)?;
        Ok(Self { path: path.clone(), closed })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, SeqCst);
        // Wakes the accepting thread.
        let _ = UnixStream::connect(&self.path);
    }
}

/// Sends the greeting, then answers one request after the other until the client closes the connection.
fn serve(stream: &UnixStream, job: &Handle) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let greeting =
        Greeting { protocol: VERSION, tidegate: env!("CARGO_PKG_VERSION").to_owned(), job: job.job().to_owned(), pid: std::process::id() };
    write(stream, &greeting)?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = (&mut lines).take(LONGEST + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let answering = job.answering();
        let too_long = line.len() as u64 > LONGEST;
        let reply = if too_long {
            Err(Refusal::Malformed { why: format!("it is longer than {LONGEST} bytes") })
        } else {
            std::str::from_utf8(&line).map_err(|e| Refusal::Malformed { why: e.to_string() }).and_then(|line| answer(line, job))
        };
        write(stream, &reply.unwrap_or_else(|refusal| Reply::Error(refusal.into())))?;
        drop(answering);
        if too_long {
            // The start of the next request is unknown.
            return Ok(());
        }
    }
}

fn write(mut stream: &UnixStream, message: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn answer(line: &str, job: &Handle) -> Result<Reply, Refusal> {
    let end = |ending| {
        job.end(ending)?;
        job.wait_for_end().map(Reply::Ended)
    };
    match Request::parse(line)? {
        Request::Status {} => Ok(Reply::Status(job.status())),
        Request::Metrics { operators } => Ok(Reply::Metrics { operators: job.metrics(&operators)? }),
        Request::Savepoint { to } => Ok(Reply::Savepoint { place: job.savepoint(&to)? }),
        Request::Stop { savepoint: Some(to) } => job.stop_with_savepoint(&to).map(Reply::Ended),
        Request::Stop { savepoint: None } => end(Ending::Stop),
        Request::Drain {} => end(Ending::Drain),
        Request::Cancel {} => end(Ending::Cancel),
    }
}
