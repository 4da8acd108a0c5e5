//! The examples in Rust print what their documentation shows.
//!
//! An example writes to standard output, so each runs in a process of its own: this test binary, told which example to run.

#[path = "../examples/async_map.rs"]
mod async_map;
#[path = "../examples/rules.rs"]
mod rules;
#[path = "../examples/two_streams.rs"]
mod two_streams;

use std::collections::BTreeSet;
use std::process::Command;

struct Example {
    name: &'static str,
    text: &'static str,
    main: fn() -> Result<(), Box<dyn std::error::Error>>,
}

const EXAMPLES: [Example; 3] = [
    Example { name: "async_map", text: include_str!("../examples/async_map.rs"), main: async_map::main },
    Example { name: "rules", text: include_str!("../examples/rules.rs"), main: rules::main },
    Example { name: "two_streams", text: include_str!("../examples/two_streams.rs"), main: two_streams::main },
];

/// The environment variable that names the example to run.
const VARIABLE: &str = "TIDEGATE_EXAMPLE";

/// Stands before and after the output of an example, which the test harness adds lines to.
const MARK: &str = "--- output ---";

impl Example {
    /// What its documentation shows: the lines below the command. Sorted, because workers print in no particular order.
    fn shown(&self) -> Vec<&str> {
        let command = format!("//!     $ cargo run --example {}", self.name);
        let lines = self.text.lines().skip_while(|line| *line != command).skip(1);
        let mut shown: Vec<&str> = lines.map_while(|line| line.strip_prefix("//!     ")).collect();
        shown.sort_unstable();
        shown
    }

    /// What it prints.
    fn printed(&self) -> Vec<String> {
        let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
        let output = command.args(["--exact", "run_one", "--ignored", "--nocapture"]).env(VARIABLE, self.name).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{}: {text}\n{}", self.name, String::from_utf8_lossy(&output.stderr));
        let mut printed: Vec<String> = text.split(MARK).nth(1).expect("an output").lines().skip(1).map(str::to_owned).collect();
        printed.sort_unstable();
        printed
    }
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn run_one() {
    let name = std::env::var(VARIABLE).expect("the name of an example");
    println!("\n{MARK}");
    let example = EXAMPLES.iter().find(|example| example.name == name).expect("an example");
    (example.main)().expect("it runs to its end");
    println!("{MARK}");
}

#[test]
fn every_example_prints_what_its_documentation_shows() {
    for example in EXAMPLES {
        let (shown, printed) = (example.shown(), example.printed());
        assert!(!shown.is_empty(), "{} does not show what it prints:\n{}", example.name, printed.join("\n"));
        assert_eq!(printed, shown, "{}", example.name);
    }
}

#[test]
fn no_example_is_forgotten() {
    let files = std::fs::read_dir("examples").expect("the examples").map(|entry| entry.expect("an entry").file_name());
    let files: BTreeSet<String> = files.filter_map(|name| Some(name.to_str()?.strip_suffix(".rs")?.to_owned())).collect();
    assert_eq!(files, EXAMPLES.iter().map(|example| example.name.to_owned()).collect());
}
