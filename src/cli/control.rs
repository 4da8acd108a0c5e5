//! The control socket of a running job: how another process asks it for a savepoint.
//!
//! A request is one line of JSON, the answer another.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::supervisor::Stopping;

/// Where the socket of a job lies.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("control")
}

/// Listens for requests until the process ends, whichever run of the job they meet.
pub fn listen(dir: &Path, job: Stopping) -> Result<()> {
    let path = path(dir);
    // Of a process that was killed: the lock says that it is gone.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| {
        format!("`{}` can't be listened on, so no savepoint can be asked for (such a path has about 100 bytes at most)", path.display())
    })?;
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let job = job.clone();
            std::thread::spawn(move || {
                let answer = match serve(&stream, &job) {
                    Ok(place) => json!({ "savepoint": place }),
                    Err(error) => json!({ "error": format!("{error:#}") }),
                };
                // Who asked may have gone.
                let _ = writeln!(&stream, "{answer}");
            });
        }
    })?;
    Ok(())
}

fn serve(stream: &UnixStream, job: &Stopping) -> Result<String> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let request: Value = serde_json::from_str(&line).context("the request does not read")?;
    let Some(to) = request["savepoint"].as_str() else { bail!("a request is {{\"savepoint\": DIRECTORY}}") };
    let running = job.running().context("the job does not run just now: it is about to be started, or started again")?;
    let answer = running.savepoint(to.to_owned()).recv().map_err(|_| anyhow!("the job ended before"))?;
    answer.map_err(|why| anyhow!(why))
}

/// Asks the job whose state directory this is for a savepoint, and waits for it.
pub fn ask(dir: &Path, to: &str) -> Result<String> {
    let path = path(dir);
    let shown = dir.display();
    let mut stream = UnixStream::connect(&path)
        .with_context(|| format!("no running job holds `{shown}` (a job can be asked if it takes checkpoints or names its `state.dir`)"))?;
    writeln!(stream, "{}", json!({ "savepoint": to }))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line).with_context(|| format!("the job that holds `{shown}` ended before it answered"))?;
    match (answer["savepoint"].as_str(), answer["error"].as_str()) {
        (Some(place), _) => Ok(place.to_owned()),
        (None, Some(error)) => bail!("the savepoint failed: {error}"),
        (None, None) => bail!("the answer does not read: {answer}"),
    }
}
