//! Imports between the crates of the workspace go one way, heavy-handed crates stay where they belong, and files stay readable.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// The crates from the bottom to the top. Each may import those of lower layers, none of its own or a higher one.
const LAYERS: &[&[&str]] = &[
    &["tidegate-stable"],
    &["tidegate-rows"],
    &["tidegate-checkpoints", "tidegate-expr"],
    &["tidegate-runtime", "tidegate-rules"],
    &["tidegate-operators"],
    &["tidegate-connectors", "tidegate-cep"],
    &["tidegate-jobs"],
    &["tidegate-launch"],
    &["tidegate"],
];

/// What only the root package may depend on: libraries have typed errors, and no command line.
const ROOT_ONLY: &[&str] = &["anyhow", "clap"];

/// Lines of a `lib.rs`, the front page of its crate, and of any other file.
const FRONT_PAGE: usize = 200;
const FILE: usize = 600;

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().expect("cargo describes the workspace")
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for package in &metadata().packages {
        let name = package.name.as_str();
        let Some(own) = layer(name) else {
            wrong.push(format!("`{name}` has no place in the layers"));
            continue;
        };
        // Tests may look from above: the cases of patterns, say, come with conditions that are expressions.
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some() && d.kind != DependencyKind::Development) {
            arrows += 1;
            if layer(&dependency.name).is_none_or(|other| other >= own) {
                wrong.push(format!("`{name}` imports `{}`", dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(arrows > 4, "only {arrows} arrows were seen: does this test still look at the right thing?");
}

#[test]
fn only_the_root_package_has_a_command_line_and_untyped_errors() {
    for package in metadata().packages.iter().filter(|p| p.name.as_str() != "tidegate") {
        for dependency in &package.dependencies {
            assert!(!ROOT_ONLY.contains(&dependency.name.as_str()), "`{}` depends on {}", package.name, dependency.name);
        }
    }
}

#[test]
fn files_stay_readable() {
    let mut long = Vec::new();
    let mut files = 0;
    for package in &metadata().packages {
        let root = package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path();
        for folder in ["src", "tests", "benches", "examples"] {
            for file in rust_files(&root.join(folder)) {
                files += 1;
                let lines = fs::read_to_string(&file).expect("a source file is text").lines().count();
                let most = if file.ends_with("src/lib.rs") { FRONT_PAGE } else { FILE };
                if lines > most {
                    long.push(format!("{} has {lines} lines, at most {most} are allowed", file.display()));
                }
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    assert!(files > 50, "only {files} files were seen");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a folder can be read").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false if path.extension().is_some_and(|e| e == "rs") => vec![path],
            false => Vec::new(),
        })
        .collect()
}
