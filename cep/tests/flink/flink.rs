//! FlinkCEP in its own process, which answers case by case.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use tidegate_cep::Pattern;

use super::patterns::Kinds;

/// An event of a key, or an advance of its time.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub time: i64,
    pub kind: Option<u8>,
    pub key: u8,
}

/// By step, the positions of its events among the entries.
type Places = BTreeMap<String, Vec<usize>>;

/// What an entry caused.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub struct Outcome {
    pub matches: Vec<Places>,
    pub timeouts: Vec<(Places, i64)>,
}

/// What a case caused, up to where it failed.
#[derive(Debug, Default, Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub entries: Vec<Outcome>,
    /// Why the pattern was refused.
    #[serde(default)]
    pub refused: Option<String>,
    #[serde(default)]
    pub failed: Option<String>,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        // The two word the same mistake differently.
        (&self.entries, self.refused.is_some(), self.failed.is_some()) == (&other.entries, other.refused.is_some(), other.failed.is_some())
    }
}

impl Answer {
    /// Brings what one entry caused into a fixed order, and drops the times of timeouts if they do not matter.
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

/// A case. It is displayed as it is sent.
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
