//! FlinkCEP in a process of its own, asked case by case.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use tidegate_cep::Pattern;

use super::patterns::Kinds;

/// An event of a key, or time that goes on for it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub time: i64,
    pub kind: Option<u8>,
    pub key: u8,
}

/// By step, the places of events among the entries.
type Places = BTreeMap<String, Vec<usize>>;

/// What came with an entry.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub struct Outcome {
    pub matches: Vec<Places>,
    pub timeouts: Vec<(Places, i64)>,
}

/// What came of a case, up to where it failed.
#[derive(Debug, Default, Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub entries: Vec<Outcome>,
    /// Why the pattern is not one.
    #[serde(default)]
    pub refused: Option<String>,
    #[serde(default)]
    pub failed: Option<String>,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        // Each has its own words.
        (&self.entries, self.refused.is_some(), self.failed.is_some()) == (&other.entries, other.refused.is_some(), other.failed.is_some())
    }
}

impl Answer {
    /// What comes with one entry may come in any order, and the times of timeouts may be of no concern.
    pub fn sorted(mut self, dated: bool) -> Self {
        for outcome in &mut self.entries {
            if !dated {
                outcome.timeouts.iter_mut().for_each(|(_, time)| *time = 0);
            }
            outcome.matches.sort();
            outcome.timeouts.sort();
        }
        self
    }
}

/// What is asked. It shows as it is written.
#[derive(Clone, Serialize)]
pub struct Case {
    pub pattern: Pattern<Kinds>,
    pub entries: Vec<Entry>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

pub struct Flink {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Flink {
    pub fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flink/flink.sh");
        let mut child = Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    pub fn ask(&mut self, case: &Case) -> Answer {
        writeln!(self.to.as_mut().unwrap(), "{case:?}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in the answer `{line}` to {case:?}"))
    }

    pub fn stop(mut self) {
        self.to = None;
        self.child.wait().unwrap();
    }
}
