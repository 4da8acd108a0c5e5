//! The examples in Rust run, each as its `main` does.

#[path = "../examples/async_map.rs"]
mod async_map;
#[path = "../examples/rules.rs"]
mod rules;
#[path = "../examples/two_streams.rs"]
mod two_streams;

#[test]
fn every_example_runs() -> Result<(), Box<dyn std::error::Error>> {
    let there = std::fs::read_dir("examples")?
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "rs")));
    let run = [async_map::main(), rules::main(), two_streams::main()];
    assert_eq!(there.count(), run.len(), "an example is not run here");
    run.into_iter().collect()
}
