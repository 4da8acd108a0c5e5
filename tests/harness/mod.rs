//! Runs the real binary in a directory of its own: `dir.tidegate(["run", "job.yaml"]).run().exits(0)`.

pub mod crash;
pub mod golden;
pub mod http;
pub mod random;
pub mod registry;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use signal_hook::consts::SIGABRT;
use tempfile::TempDir;
use tidegate::runtime::failpoint::{self, Point};

/// No test needs nearly as long: a command that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(120);

/// The root of the checkout, where cargo runs tests. Not read at compile time: checkouts may share build output.
pub fn project() -> PathBuf {
    std::env::current_dir().expect("a working directory")
}

/// A temporary directory, in which commands run.
pub struct Dir(TempDir);

impl Dir {
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and creates its parent directories.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("directories can be made");
        fs::write(path, content).expect("a file can be written");
        self
    }

    /// Writes values as JSON Lines.
    pub fn json_lines<'a>(&self, name: &str, values: impl IntoIterator<Item = &'a Value>) -> &Self {
        self.file(name, values.into_iter().map(|v| format!("{v}\n")).collect::<String>())
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("`{name}`: {e}"))
    }

    /// The values in a JSON Lines file.
    pub fn values(&self, name: &str) -> Vec<Value> {
        values(&self.read(name))
    }

    /// The binary with these arguments.
    pub fn tidegate<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Tidegate {
        self.command(env!("CARGO_BIN_EXE_tidegate"), args)
    }

    /// Any program with these arguments.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: I) -> Tidegate {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).args(args);
        Tidegate { command, stdin: Vec::new() }
    }

    /// `tidegate run` of this job file.
    pub fn job(&self, yaml: &str) -> Tidegate {
        self.file("job.yaml", yaml);
        self.tidegate(["run", "job.yaml"])
    }

    /// `tidegate check` of this job file.
    pub fn check(&self, yaml: &str) -> Outcome {
        self.file("job.yaml", yaml);
        self.tidegate(["check", "job.yaml"]).run()
    }
}

pub fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON: {line}: {e}"))).collect()
}

/// A command that has yet to run.
pub struct Tidegate {
    command: Command,
    stdin: Vec<u8>,
}

impl Tidegate {
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = input.into();
        self
    }

    /// Runs the command to its end.
    pub fn run(self) -> Outcome {
        self.start().wait()
    }

    /// Runs the command until the `nth` hit of a failpoint ends it.
    #[track_caller]
    pub fn dies_at(self, point: Point, nth: u64) {
        let outcome = self.env(failpoint::VARIABLE, format!("{}:{nth}", point.name())).run();
        if outcome.status.signal() != Some(SIGABRT) {
            outcome.fail(&format!("`{}` was not hit {nth} times", point.name()));
        }
    }

    /// Starts the command. Its standard input is written in one go, and its output is read in the background.
    pub fn start(mut self) -> Running {
        let mut child = self.spawn();
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        let input = std::mem::take(&mut self.stdin);
        // The command may end before it has read it all.
        thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = Collect::new(child.stdout.take().expect("standard output is a pipe"));
        let stderr = Collect::new(child.stderr.take().expect("standard error is a pipe"));
        Running { child, stdout, stderr }
    }

    /// Starts the command and leaves its pipes to the caller.
    pub fn spawn(&mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    }
}

/// The output of a pipe so far.
struct Collect {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collect {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                into.lock().unwrap_or_else(PoisonError::into_inner).extend(&buffer[..n]);
            }
        });
        Self { bytes, thread }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn all(self) -> String {
        let Self { bytes, thread } = self;
        thread.join().expect("reading a pipe does not panic");
        let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A running command.
pub struct Running {
    child: Child,
    stdout: Collect,
    stderr: Collect,
}

impl Running {
    /// Waits until `done` holds for the standard output so far.
    pub fn until(&mut self, what: &str, done: impl Fn(&str) -> bool) -> &mut Self {
        self.wait_for(what, |running| done(&running.stdout.so_far()))
    }

    /// Waits until this was printed to standard error.
    pub fn until_said(&mut self, part: &str) -> &mut Self {
        self.wait_for(part, |running| running.stderr.so_far().contains(part))
    }

    fn wait_for(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> &mut Self {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > LONGEST || self.child.try_wait().expect("the child is ours").is_some() {
                let _ = self.child.kill();
                panic!("ended or hung before {what}\nstdout:\n{}\nstderr:\n{}", self.stdout.so_far(), self.stderr.so_far());
            }
            thread::sleep(Duration::from_millis(2));
        }
        self
    }

    /// Whether it has ended.
    pub fn over(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&mut self, name: &str) -> &mut Self {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs").success());
        self
    }

    pub fn wait(mut self) -> Outcome {
        let status = wait(&mut self.child);
        let (stdout, stderr) = (self.stdout.all(), self.stderr.all());
        match status {
            Some(status) => Outcome { status, stdout, stderr },
            None => panic!("hung\nstdout:\n{stdout}\nstderr:\n{stderr}"),
        }
    }
}

/// Waits for the end. `None` if the child had to be killed.
pub fn wait(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < LONGEST {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// How a command ended.
pub struct Outcome {
    status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    fn fail(&self, why: &str) -> ! {
        panic!("{why}\n{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr);
    }

    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        if self.status.code() != Some(code) {
            self.fail(&format!("expected exit code {code}"));
        }
        self
    }

    #[track_caller]
    pub fn stdout_is(self, expected: &str) -> Self {
        if self.stdout != expected {
            self.fail(&format!("standard output differs:\n{}", diff(expected, &self.stdout)));
        }
        self
    }

    #[track_caller]
    pub fn stderr_is(self, expected: &str) -> Self {
        if self.stderr != expected {
            self.fail(&format!("standard error differs:\n{}", diff(expected, &self.stderr)));
        }
        self
    }

    #[track_caller]
    pub fn stderr_has(self, part: &str) -> Self {
        if !self.stderr.contains(part) {
            self.fail(&format!("standard error does not have `{part}`"));
        }
        self
    }

    #[track_caller]
    pub fn stderr_lacks(self, part: &str) -> Self {
        if self.stderr.contains(part) {
            self.fail(&format!("standard error has `{part}`"));
        }
        self
    }

    /// The values printed as JSON Lines.
    pub fn values(&self) -> Vec<Value> {
        values(&self.stdout)
    }

    /// The account of each operator in the summary. Asserts that each adds up.
    pub fn account(&self) -> BTreeMap<String, Account> {
        let accounts: BTreeMap<_, _> = self.stderr.lines().filter_map(Account::parse).collect();
        if accounts.is_empty() {
            self.fail("there is no account");
        }
        for (name, account) in &accounts {
            if account.total != account.parts.values().sum::<u64>() {
                self.fail(&format!("the account of `{name}` does not add up: {account:?}"));
            }
        }
        accounts
    }
}

/// `in 7 = 4 taken + 1 late + 2 failed; out 3`.
#[derive(Debug, PartialEq)]
pub struct Account {
    pub total: u64,
    pub parts: BTreeMap<String, u64>,
    pub out: Option<u64>,
}

impl Account {
    fn parse(line: &str) -> Option<(String, Self)> {
        let number = |text: &str| text.replace(',', "").parse().ok();
        let (name, rest) = line.strip_prefix("  ")?.split_once("  ")?;
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("read ").or_else(|| rest.strip_prefix("in "))?;
        let (total, rest) = rest.split_once(" = ")?;
        let rest = rest.split_once("  (").map_or(rest, |(rest, _)| rest);
        let (parts, out) =
            rest.split_once("; out ").map_or((rest, None), |(parts, out)| (parts, number(out.split(';').next().unwrap_or_default())));
        let part = |part: &str| part.split_once(' ').and_then(|(n, what)| Some((what.to_owned(), number(n)?)));
        let parts = parts.split(" + ").map(part).collect::<Option<_>>()?;
        Some((name.trim_end().to_owned(), Self { total: number(total)?, parts, out }))
    }

    /// The part with this name; 0 if there is none.
    pub fn part(&self, name: &str) -> u64 {
        self.parts.get(name).copied().unwrap_or(0)
    }
}

/// Compares two texts line by line: `-` marks missing lines, `+` surplus ones.
pub fn diff(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let mut out = format!("  ({same} lines agree)\n");
    expected[same..].iter().take(20).for_each(|line| out.push_str(&format!("- {line}\n")));
    found[same..].iter().take(20).for_each(|line| out.push_str(&format!("+ {line}\n")));
    out
}

/// Whether the values are equal, except for the last digits of numbers.
pub fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| close(v, w))),
        _ => a == b,
    }
}

/// Sorts the values by their text.
pub fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_key(ToString::to_string);
    values
}

/// The path as it appears in messages.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
