//! Manifests: what is written is read, and nothing else is.

use std::ops::Range;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn file(path: &str) -> FileRef {
    FileRef { path: path.to_owned(), name: "000012.sst".to_owned(), bytes: 7, checksum: u64::MAX - 1 }
}

fn part(worker: usize, groups: Range<u16>) -> Part {
    Part {
        worker,
        groups,
        list: vec![json!({"file": "a", "offset": 17})],
        files: BTreeMap::new(),
        rows: vec![file("shared/1-a")],
        db: vec![file("shared/1-b")],
        entries: 3,
    }
}

fn manifest() -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        job: "fraud".to_owned(),
        kind: Kind::Checkpoint,
        epoch: Epoch(7),
        generation: 2,
        created_ms: 1_700_000_000_000,
        key_groups: 128,
        workers: 2,
        watermark: Some(-1),
        operators: vec![OperatorState {
            id: OperatorId::new("per_hour").unwrap(),
            kind: "window".to_owned(),
            role: "operator".to_owned(),
            basis: Basis::default(),
            states: vec![StateInfo { id: 0, name: "slices".to_owned(), schema: "(i64, \"f64\")".to_owned(), fields: Vec::new() }],
            list_schema: None,
            parts: vec![part(0, 0..64), part(1, 64..128)],
        }],
    }
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    let json = manifest().to_json().unwrap();
    assert_eq!(Manifest::from_json(&json).unwrap(), manifest());
    let empty = Manifest { operators: Vec::new(), watermark: None, kind: Kind::Savepoint, ..manifest() };
    assert_eq!(Manifest::from_json(&empty.to_json().unwrap()).unwrap(), empty);
    assert_eq!(manifest().files().count(), 4);
    let mut with_file = manifest();
    with_file.operators[0].parts[1].files.insert(0, file("shared/1-c"));
    assert_eq!(Manifest::from_json(&with_file.to_json().unwrap()).unwrap(), with_file);
    assert_eq!(with_file.files().count(), 5);
    with_file.operators[0].parts[1].files.insert(1, file("shared/1-d"));
    assert!(with_file.to_json().unwrap_err().to_string().contains("a file of item 1, but there are 1 items"));
}

/// The text is part of the format, and for people.
#[test]
fn golden_manifest_can_be_read_for_ever() {
    let mut small = Manifest { workers: 1, ..manifest() };
    small.operators[0].parts = vec![part(0, 0..128)];
    let golden = include_str!("golden.json");
    assert_eq!(String::from_utf8(small.to_json().unwrap()).unwrap(), golden);
    assert_eq!(Manifest::from_json(golden.as_bytes()).unwrap(), small);
}

/// Manifests of before what states are made of was in them are read, see the golden one.
#[test]
fn what_states_are_made_of_is_read_back() {
    let mut manifest = manifest();
    manifest.operators[0].basis = Basis {
        key: Some(vec![Field::new("user", "int")]),
        records: Some(Vec::new()),
        form: None,
        reads: Some(vec!["where a > 1".to_owned()]),
    };
    manifest.operators[0].states[0].fields = vec![Field::new("total", "sum(x: double)")];
    assert_eq!(Manifest::from_json(&manifest.to_json().unwrap()).unwrap(), manifest);
}

proptest! {
    #[test]
    fn any_change_is_found(at: prop::sample::Index, to: u8, cut: bool) {
        let mut json = manifest().to_json().unwrap();
        let at = at.index(json.len());
        if cut { json.truncate(at) } else { json[at] = to }
        prop_assume!(json != manifest().to_json().unwrap());
        prop_assert!(Manifest::from_json(&json).is_err());
    }

    #[test]
    fn any_bytes_are_an_error(json: Vec<u8>) {
        prop_assert!(Manifest::from_json(&json).is_err());
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let text = String::from_utf8(manifest().to_json().unwrap()).unwrap();
    let says = |text: &str, what: &str| {
        let error = Manifest::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    says(&text.replace("\"workers\": 2", "\"workers\": 3"), "damaged or edited");
    says(&text[..text.len() / 2], "line");
    says("", "whole JSON document");
    says("[1]", "no `format`");
    // The format comes before all else: a newer document may look quite different.
    says("{\"format\": 3, \"anything\": []}", "format 3, but this release reads format 2: use the release that wrote it, or a newer one");
    says("{\"format\": 1, \"anything\": []}", "only that release can go on from it");
    says("{\"format\": 2}", "checksum");
}

#[test]
fn what_cannot_be_is_neither_written_nor_read() {
    let refused = |what: &str, change: &dyn Fn(&mut Manifest)| {
        let mut wrong = manifest();
        change(&mut wrong);
        let error = wrong.to_json().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused("format 3", &|m| m.format = 3);
    refused("0 key groups", &|m| m.key_groups = 0);
    refused("twice", &|m| m.operators.push(m.operators[0].clone()));
    refused("worker 1", &|m| m.workers = 1);
    refused("key groups 64..128 of 100", &|m| m.key_groups = 100);
    refused("key groups 9..8", &|m| m.operators[0].parts[0].groups = Range { start: 9, end: 8 });
    refused("two states", &|m| {
        m.operators[0].states.push(StateInfo { id: 0, name: "b".into(), schema: String::new(), fields: Vec::new() })
    });
    refused("two states", &|m| {
        m.operators[0].states.push(StateInfo { id: 1, name: "slices".into(), schema: String::new(), fields: Vec::new() })
    });
    // A manifest that was tampered with must not lead out of its directory.
    for path in ["/etc/passwd", "../x", "shared/../../x", ""] {
        refused("doesn't lie in the directory", &|m| m.operators[0].parts[0].rows[0].path = path.to_owned());
        refused("doesn't lie in the directory", &|m| m.operators[0].parts[0].db[0].name = path.to_owned());
    }
}
