//! Jobs with kept savepoints, each of which continues from its own. The real binary runs job files; this one runs jobs in Rust.

use std::path::Path;

use crate::harness::golden::{alike, compare, sorted, update};
use crate::harness::{Dir, Outcome, Tidegate, diff};
use crate::kept::{cases, copy, files, kept};
use crate::typed::ARGUMENTS;

/// What a run wrote to each file and to standard output.
type Written = Vec<(String, String)>;

/// A kept savepoint with its job and input.
struct Case {
    name: String,
    /// The job file, or `None` if the job is in Rust.
    job: Option<String>,
}

/// The input that a run finds.
#[derive(Clone, Copy)]
enum Input {
    /// What was there before the savepoint.
    Before,
    /// That and what came after it.
    All,
    /// All of it, except that standard input starts after the savepoint.
    Rest,
}

impl Case {
    fn open(name: &str) -> Option<Self> {
        let dir = kept("data").join(name);
        let job = std::fs::read_to_string(dir.join("job.yaml")).ok();
        // A case without input only contributes names, and is not run: Kafka needs a broker, a socket a peer.
        dir.join("before").exists().then(|| Self { name: name.to_owned(), job })
    }

    fn kept(&self, name: &str) -> std::path::PathBuf {
        kept("data").join(&self.name).join(name)
    }

    /// A directory with the input, and the text for standard input.
    fn dir(&self, input: Input) -> (Dir, String) {
        let dir = Dir::new();
        let (before, after) = (self.kept("before"), self.kept("after"));
        let read = |dir: &Path, name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let mut names = files(&before);
        if !matches!(input, Input::Before) {
            names.extend(files(&after));
        }
        for name in names.iter().filter(|name| *name != "stdin") {
            let more = if matches!(input, Input::Before) { String::new() } else { read(&after, name) };
            dir.file(name, read(&before, name) + &more);
        }
        let stdin = match input {
            Input::Before => read(&before, "stdin"),
            Input::All => read(&before, "stdin") + &read(&after, "stdin"),
            Input::Rest => read(&after, "stdin"),
        };
        (dir, stdin)
    }

    /// Runs the job over this input.
    fn run(&self, dir: &(Dir, String), args: &[&str]) -> Outcome {
        self.command(dir, args).run().exits(0)
    }

    fn command(&self, (dir, stdin): &(Dir, String), args: &[&str]) -> Tidegate {
        let Some(job) = &self.job else {
            let this = std::env::current_exe().expect("the path of this test");
            let run = dir.command(this, ["--exact", "typed::run_here", "--ignored"]);
            return run.env(ARGUMENTS, format!("{} {}", self.name, args.join(" ")));
        };
        dir.job(job).args(["--quiet"]).args(args).stdin(stdin.as_str())
    }

    /// What a run wrote, with sorted lines.
    fn written(&self, (dir, _): &(Dir, String), outcome: &Outcome) -> Written {
        let inputs = [files(&self.kept("before")), files(&self.kept("after"))].concat();
        let outputs = files(&dir.path(".")).into_iter().filter(|name| name.ends_with(".jsonl") && !inputs.contains(name));
        let printed = (self.job.is_some() && !outcome.stdout.is_empty()).then(|| ("stdout".to_owned(), sorted(&outcome.stdout)));
        outputs.map(|name| (name.clone(), sorted(&dir.read(&name)))).chain(printed).collect()
    }

    /// Takes a savepoint and keeps it.
    fn save(&self) -> Written {
        let before = self.dir(Input::Before);
        let args = ["-p", "2", "--savepoint-at-end", "savepoint"];
        let outcome = match std::fs::read_to_string(self.kept("until")) {
            // A source that would not end is stopped once this has been printed.
            Ok(until) => {
                let mut running = self.command(&before, &args).start();
                running.until("what the case waits for", |stdout| stdout.contains(until.trim()));
                running.signal("TERM");
                running.wait().exits(0)
            }
            Err(_) => self.run(&before, &args),
        };
        copy(&before.0.path("savepoint"), &self.kept("savepoint"));
        self.written(&before, &outcome)
    }

    /// Continues from the kept savepoint.
    fn restored(&self, args: &[&str]) -> Written {
        let rest = self.dir(Input::Rest);
        copy(&self.kept("savepoint"), &rest.0.path("savepoint"));
        let outcome = self.run(&rest, &[&["--from", "savepoint"], args].concat());
        self.written(&rest, &outcome)
    }

    /// Checks that the job writes the same without a savepoint in between.
    fn agrees(&self, before: &Written, restored: &Written) {
        let all = self.dir(Input::All);
        let outcome = self.run(&all, &["-p", "1"]);
        for (file, whole) in self.written(&all, &outcome) {
            let part = |of: &Written| of.iter().find(|(name, _)| *name == file).map_or_else(String::new, |(_, text)| text.clone());
            let parts = sorted(&(part(before) + &part(restored)));
            assert!(alike(&parts, &whole), "{}: `{file}` differs from that of a run in one go:\n{}", self.name, diff(&whole, &parts));
        }
    }
}

/// Where a savepoint is restored: as it was taken, and elsewhere. State from another directory needs a job that names the directory.
const PLACES: [&[&str]; 3] =
    [&["-p", "2"], &["-p", "1", "--set=state.backend=rocksdb", "--set=state.dir=./elsewhere"], &["-p", "3", "--set=state.backend=memory"]];

/// A broadcast stream does not hold back event time. A run in one go may end before it has read the limits, which a savepoint brings along.
const IN_NO_ORDER: &str = "typed_broadcast";

fn holds(case: &Case) {
    let before = (update() && !case.kept("savepoint").exists()).then(|| case.save());
    assert!(case.kept("savepoint").exists(), "{} has no savepoint: `UPDATE_GOLDEN=1` takes one", case.name);
    for args in PLACES {
        let written = case.restored(args);
        if let Some(before) = before.as_ref().filter(|_| case.name != IN_NO_ORDER) {
            case.agrees(before, &written);
        }
        for (file, text) in &written {
            let name = &case.name;
            let what = format!("{name}, {args:?}: after the restore `{file}` is not what it was in the release that took the savepoint");
            compare(text, &case.kept("expected").join(file), &what);
        }
        let names: Vec<&String> = written.iter().map(|(file, _)| file).collect();
        assert_eq!(names, files(&case.kept("expected")).iter().collect::<Vec<_>>(), "{}", case.name);
    }
}

#[test]
fn every_savepoint_that_is_kept_is_restored_and_goes_on_as_it_did() {
    let cases: Vec<Case> = cases().iter().filter_map(|name| Case::open(name)).collect();
    assert!(!cases.is_empty());
    // Run all cases, so that every failure is reported.
    let failed = cases.iter().filter(|case| std::panic::catch_unwind(|| holds(case)).is_err());
    let failed: Vec<&str> = failed.map(|case| case.name.as_str()).collect();
    assert!(
        failed.is_empty(),
        "these savepoints are not restored as they were: {}; see `tests/compatibility/README.md`",
        failed.join(", ")
    );
}
