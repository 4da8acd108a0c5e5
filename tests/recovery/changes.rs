//! Jobs that are changed between a savepoint and the restore, compared with what their results should be, computed here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Dir, sorted};

/// A record: user, amount and time in milliseconds.
type Event = (i64, i64, i64);

const USERS: i64 = 40;

/// What is read before the savepoint, up to 8 s: windows of 10 s are open then.
fn before() -> Vec<Event> {
    (0..200).map(|i| (i % USERS, i * 7 % 31, i * 40)).collect()
}

/// What is read after it: not of every user in the window that was open.
fn after() -> Vec<Event> {
    (0..300).map(|i| (i * i % USERS, i * 5 % 29, 8_000 + i * 50)).collect()
}

fn lines(events: &[Event]) -> Vec<Value> {
    events.iter().map(|(user, amount, ts)| json!({ "user": user, "amount": amount, "ts": ts })).collect()
}

/// A job over `window`, if there is one, with these aggregates.
fn yaml(backend: &str, window: &str, aggregates: &str) -> String {
    let window = if window.is_empty() { String::new() } else { format!("window: {window}, ") };
    format!(
        "name: changes
state: {{ backend: {backend}, dir: ./state }}
sources:
  payments:
    connector: file
    path: before.jsonl
    format: json
    schema: {{ user: int, amount: int, ts: int }}
    event_time: {{ field: ts, unit: ms }}
streams:
  per_user: {{ from: payments, key: user, {window}aggregate: {{ {aggregates} }} }}
sinks:
  out: {{ from: per_user, connector: file, path: out.jsonl, format: json }}
"
    )
}

/// Reads what comes before, and takes a savepoint.
fn saved(yaml: &str) -> Dir {
    let dir = Dir::new();
    dir.json_lines("before.jsonl", &lines(&before())).json_lines("after.jsonl", &lines(&after()));
    dir.job(yaml).args(["--quiet", "-p", "2", "--savepoint-at-end", "save"]).run().exits(0);
    dir
}

const FROM: [&str; 6] = ["--from", "save", "--quiet", "--set", "sources.payments.path=after.jsonl", "--set=sinks.out.path=changed.jsonl"];

/// The job goes on as `yaml` says, with what comes after. Returns what it writes.
fn changed(dir: &Dir, yaml: &str, more: &[&str]) -> Vec<Value> {
    dir.job(yaml).args(FROM).args(more).run().exits(0);
    dir.values("changed.jsonl")
}

/// The bounds of the windows that a record is in.
type Windows = fn(Event) -> Vec<(i64, i64)>;

fn tumbling((_, _, ts): Event) -> Vec<(i64, i64)> {
    vec![(ts / 10_000 * 10_000, ts / 10_000 * 10_000 + 10_000)]
}

fn sliding((_, _, ts): Event) -> Vec<(i64, i64)> {
    [0, 1].map(|back| (ts / 5_000 - back) * 5_000).map(|start| (start, start + 10_000)).to_vec()
}

/// The sum of all amounts, and the greatest since the savepoint, of each user and window that is not over at the savepoint.
fn windows(of: Windows) -> Vec<Value> {
    let mut sums: BTreeMap<(i64, i64, i64), (i64, Option<i64>)> = BTreeMap::new();
    let all = before().into_iter().map(|event| (event, false)).chain(after().into_iter().map(|event| (event, true)));
    for (event, new) in all {
        for (start, end) in of(event).into_iter().filter(|(_, end)| *end > 8_000) {
            let (total, greatest) = sums.entry((event.0, start, end)).or_default();
            *total += event.1;
            if new {
                *greatest = (*greatest).max(Some(event.1));
            }
        }
    }
    let row = |((user, start, end), (total, greatest))| json!({ "user": user, "window_start": start, "window_end": end, "total": total, "greatest": greatest });
    sums.into_iter().map(row).collect()
}

/// The same of sessions that a user's silence of `gap` ends.
fn sessions(gap: i64) -> Vec<Value> {
    let mut all: Vec<(Event, bool)> = before().into_iter().map(|event| (event, false)).collect();
    all.extend(after().into_iter().map(|event| (event, true)));
    let mut found = Vec::new();
    for user in 0..USERS {
        let mut open: Option<(i64, i64, i64, Option<i64>)> = None;
        for ((_, amount, ts), new) in all.iter().filter(|((of, ..), _)| *of == user) {
            let greatest = new.then_some(*amount);
            open = match open {
                Some((start, end, total, before)) if *ts <= end => Some((start, end.max(ts + gap), total + amount, before.max(greatest))),
                other => {
                    found.extend(other.map(|session| (user, session)));
                    Some((*ts, ts + gap, *amount, greatest))
                }
            };
        }
        found.extend(open.map(|session| (user, session)));
    }
    let open = found.into_iter().filter(|(_, (_, end, ..))| *end > 8_000);
    let row = |(user, (start, end, total, greatest))| json!({ "user": user, "window_start": start, "window_end": end, "total": total, "greatest": greatest });
    open.map(row).collect()
}

/// The same of each `size` records of a user that are complete after the savepoint.
fn counted(size: usize) -> Vec<Value> {
    let mut found = Vec::new();
    for user in 0..USERS {
        let old: Vec<i64> = before().into_iter().filter(|event| event.0 == user).map(|event| event.1).collect();
        let all: Vec<i64> = old.iter().copied().chain(after().into_iter().filter(|event| event.0 == user).map(|event| event.1)).collect();
        for (i, window) in all.chunks_exact(size).enumerate().filter(|(i, _)| (i + 1) * size > old.len()) {
            let new = window.iter().enumerate().filter(|(j, _)| i * size + j >= old.len()).map(|(_, amount)| *amount);
            found.push(json!({ "user": user, "total": window.iter().sum::<i64>(), "greatest": new.max() }));
        }
    }
    found
}

/// The same of all records of a user up to each one after the savepoint.
fn running() -> Vec<Value> {
    let mut sums: BTreeMap<i64, (i64, Option<i64>)> = BTreeMap::new();
    for (user, amount, _) in before() {
        sums.entry(user).or_default().0 += amount;
    }
    let mut found = Vec::new();
    for (user, amount, _) in after() {
        let (total, greatest) = sums.entry(user).or_default();
        (*total, *greatest) = (*total + amount, (*greatest).max(Some(amount)));
        found.push(json!({ "user": user, "total": total, "greatest": greatest }));
    }
    found
}

fn same(found: Vec<Value>, expected: Vec<Value>, what: &str) {
    let (found, expected) = (sorted(found), sorted(expected));
    assert!(!expected.is_empty());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

const OLD: &str = "n: count(), total: sum(amount)";
/// One is new, one is gone, and they stand in another order.
const NEW: &str = "greatest: max(amount), total: sum(amount)";

/// An order of its own for the fields, as the files are compared as values.
fn in_order(values: Vec<Value>) -> Vec<Value> {
    let fields = ["user", "window_start", "window_end", "total", "greatest"];
    let ordered = |value: Value| fields.iter().filter_map(|field| Some(((*field).to_owned(), value.get(*field)?.clone()))).collect();
    values.into_iter().map(ordered).collect()
}

#[test]
fn aggregates_go_on_by_name_and_new_ones_start_at_the_savepoint() {
    let cases: [(&str, Vec<Value>); 7] = [
        ("{ tumbling: 10s }", windows(tumbling)),
        ("{ tumbling: 10s, trigger: event_time }", windows(tumbling)),
        ("{ sliding: 10s, every: 5s }", windows(sliding)),
        ("{ session: 2s }", sessions(2_000)),
        ("{ session: 'user >= 0 ? 2000 : 1' }", sessions(2_000)),
        ("{ count: 4 }", counted(4)),
        ("", running()),
    ];
    for (i, (window, expected)) in cases.into_iter().enumerate() {
        let (from, to) = [("rocksdb", "rocksdb"), ("memory", "rocksdb"), ("rocksdb", "memory"), ("memory", "memory")][i % 4];
        let dir = saved(&yaml(from, window, OLD));
        // At the same parallelism, where files of RocksDB could be taken over as they are, and at another.
        for workers in ["2", "3"] {
            let changed = changed(&dir, &yaml(to, window, NEW), &["--allow-dropped-state", "-p", workers]);
            same(in_order(changed), in_order(expected.clone()), &format!("{window}, {from} to {to}, {workers} workers"));
        }
    }
}

#[test]
fn values_that_expire_are_put_together_anew_too() {
    let with_ttl = |aggregates| yaml("rocksdb", "", aggregates).replace("dir: ./state", "dir: ./state, ttl: 1h");
    let dir = saved(&with_ttl(OLD));
    let found = changed(&dir, &with_ttl(NEW), &["--allow-dropped-state"]);
    same(in_order(found), in_order(running()), "with a time to live");
}

#[test]
fn a_check_says_what_starts_now_and_what_would_be_lost() {
    let dir = saved(&yaml("rocksdb", "{ tumbling: 10s }", "total: sum(amount)"));
    let against = |aggregates: &str, more: &[&str]| {
        dir.file("job.yaml", yaml("rocksdb", "{ tumbling: 10s }", aggregates));
        dir.tidegate(["check", "job.yaml", "--against", "save"]).args(more).run()
    };
    let new = against("total: sum(amount), last: max(ts)", &[]).exits(0);
    assert!(new.stdout.contains("migrated: `last` starts now"), "{}", new.stdout);
    // What an aggregate keeps is the same, whatever is made of it.
    let quantile = saved(&yaml("memory", "", "q: 'quantile(amount, 0.5)'"));
    quantile.file("job.yaml", yaml("memory", "", "q: 'quantile(amount, 0.99)'"));
    let same = quantile.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(0);
    assert!(same.stdout.contains("restored") && !same.stdout.contains("migrated"), "{}", same.stdout);
    for (aggregates, says) in [
        ("last: max(ts)", "`total` is stored, and not computed any more"),
        ("total: sum(ts)", "`total` is stored as sum(amount: int), and is sum(ts: int) now"),
        ("total: { value: sum(amount), where: 'amount > 3' }", "and is sum(amount: int) where amount > 3 now"),
    ] {
        let refused = against(aggregates, &[]).exits(3);
        assert!(refused.stdout.contains(says) && refused.stdout.contains("--allow-dropped-state"), "{}", refused.stdout);
        let run = dir.tidegate(["run", "job.yaml"]).args(FROM).run().exits(3);
        assert!(run.stderr.contains(says), "{}", run.stderr);
        against(aggregates, &["--allow-dropped-state"]).exits(0);
    }
}

#[test]
fn state_is_never_read_under_another_key_or_window() {
    let by_user = yaml("rocksdb", "{ tumbling: 10s }", "total: sum(amount)");
    let dir = saved(&by_user);
    for (from, to, says) in [
        ("user: int", "user: double", "it is stored by the key `user` (int), and the key is `user` (double) now"),
        ("key: user", "key: amount", "the key is `amount` (int) now"),
        ("key: user", "key: [user, amount]", "`user` (int), `amount` (int) now"),
        ("key: user, ", "", "the key is of nothing now"),
        ("amount: int", "amount: double", "is sum(amount: double) now"),
        ("tumbling: 10s", "tumbling: 20s", "it was tumbling 10s, and is tumbling 20s now"),
        ("tumbling: 10s", "tumbling: 10s, offset: 3s", "tumbling 10s offset 3s now"),
    ] {
        assert!(by_user.contains(from));
        dir.file("job.yaml", by_user.replace(from, to));
        let checked = dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(3);
        assert!(checked.stdout.contains(says) && checked.stdout.contains("another name"), "`{says}`\n{}", checked.stdout);
        dir.tidegate(["run", "job.yaml"]).args(FROM).run().exits(3).stderr_has(says);
    }
}

#[test]
fn what_is_before_an_aggregate_may_change_with_a_warning() {
    let filtered = |condition: &str| {
        yaml("memory", "{ tumbling: 10s }", "total: sum(amount)")
            .replace("streams:\n", &format!("streams:\n  large: {{ from: payments, where: '{condition}' }}\n"))
            .replace("per_user: { from: payments", "per_user: { from: large")
    };
    let dir = saved(&filtered("amount > 3"));
    dir.file("job.yaml", filtered("amount > 5"));
    let checked = dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(0);
    let says = "`where amount > 3` became `where amount > 5`";
    assert!(checked.stdout.contains("warning") && checked.stdout.contains(says), "{}", checked.stdout);
    dir.tidegate(["run", "job.yaml"]).args(FROM).run().exits(0).stderr_has(says);
    // The name of a stream without state is nothing that counts.
    dir.file("job.yaml", filtered("amount > 3").replace("large", "big"));
    let checked = dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(0);
    assert!(!checked.stdout.contains("warning"), "{}", checked.stdout);
}

#[test]
fn records_in_state_are_not_read_by_another_layout_nor_matches_by_another_pattern() {
    let job = |schema: &str, work: &str| {
        yaml("memory", "", "n: count()").replace("user: int, amount: int, ts: int", schema).replace("aggregate: { n: count() }", work)
    };
    let (schema, steps) = ("user: int, amount: int, ts: int", "{ name: a, where: 'amount > 3' }, { name: b, where: 'amount < 2' }");
    let pattern = |steps: &str| format!("pattern: {{ steps: [{steps}], within: 1h }}");
    let dir = saved(&job(schema, &pattern(steps)));
    let more_steps = format!("{steps}, {{ name: c }}");
    for (schema, steps, says) in [
        ("amount: int, user: int, ts: int", steps, "it holds records of"),
        ("user: int, amount: double, ts: int", steps, "it holds records of"),
        (schema, "{ name: a, where: 'amount > 3', times: 2 }, { name: b, where: 'amount < 2' }", "the steps"),
        (schema, more_steps.as_str(), "the steps"),
    ] {
        dir.file("job.yaml", job(schema, &pattern(steps)));
        let checked = dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(3);
        assert!(checked.stdout.contains(says) && checked.stdout.contains("another name"), "`{says}`\n{}", checked.stdout);
    }
    // A field behind the others is null in what is stored; other conditions are warned of.
    dir.file("job.yaml", job("user: int, amount: int, ts: int, more: string", &pattern(&steps.replace("> 3", "> 4"))));
    let checked = dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(0);
    assert!(checked.stdout.contains("`where amount > 3` became `where amount > 4`"), "{}", checked.stdout);
    // Of two rankings only one is stored.
    let top = |by: &str| job(schema, &format!("top: {{ n: 2, by: {by} }}"));
    let dir = saved(&top("amount"));
    dir.file("job.yaml", top("ts"));
    let checked = dir.tidegate(["check", "job.yaml", "--against", "save"]).run().exits(3);
    assert!(checked.stdout.contains("it was top 2, by amount, and is top 2, by ts now"), "{}", checked.stdout);
}

#[test]
fn a_uid_keeps_state_when_a_part_of_the_job_is_renamed() {
    let window = "{ tumbling: 10s }";
    let old = yaml("rocksdb", window, "total: sum(amount)");
    let dir = saved(&old);
    let renamed = old.replace("per_user", "by_user").replace("payments", "transfers").replace("out:", "written:");
    let uids = renamed
        .replace("by_user: {", "by_user: { uid: per_user,")
        .replace("transfers:\n", "transfers:\n    uid: payments\n")
        .replace("written: {", "written: { uid: out,");
    let args = ["--from", "save", "--quiet", "--set", "sources.transfers.path=after.jsonl", "--set=sinks.written.path=changed.jsonl"];
    let refused = dir.job(&renamed).args(args).run().exits(3);
    for uid in ["`uid: per_user`", "`uid: payments`"] {
        assert!(refused.stderr.contains(uid), "{}", refused.stderr);
    }
    dir.job(&uids).args(args).run().exits(0);
    let expected = windows(tumbling).into_iter().map(|mut row| {
        if let Some(row) = row.as_object_mut() {
            row.remove("greatest");
        }
        row
    });
    same(in_order(dir.values("changed.jsonl")), in_order(expected.collect()), "renamed");
    // Two parts can't keep their state under one name.
    let twice = old.replace("sinks:", "  other: { from: payments, uid: per_user, aggregate: { n: count() } }\nsinks:");
    dir.check(&twice).exits(2).stderr_has("keeps its state under this name");
}

#[test]
fn stored_rows_are_shown_as_records() {
    for window in ["{ tumbling: 10s }", "{ tumbling: 10s, trigger: event_time }", "{ session: 10s }", ""] {
        for backend in ["rocksdb", "memory"] {
            let dir = saved(&yaml(backend, window, "total: sum(amount), ends: last(ts)"));
            let rows = dir.tidegate(["savepoint", "inspect", "save", "--rows", "per_user"]).run().exits(0).values();
            let found = rows.iter().map(|row| json!({ "user": row["user"], "total": row["total"], "ends": row["ends"] }));
            let mut sums: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
            for (user, amount, ts) in before() {
                let (total, ends) = sums.entry(user).or_default();
                (*total, *ends) = (*total + amount, ts);
            }
            let expected = sums.iter().map(|(user, (total, ends))| json!({ "user": user, "total": total, "ends": ends }));
            same(found.collect(), expected.collect(), window);
            let summary = dir.tidegate(["savepoint", "inspect", "save"]).run().exits(0).stdout;
            assert!(summary.contains("`total` (sum(amount: int))") && summary.contains("by `user` (int)"), "{summary}");
            for internal in ["floor", "namespaces"] {
                assert!(!summary.contains(internal), "{summary}");
            }
        }
    }
}

#[test]
fn windows_over_results_that_come_again_keep_them_under_another_job() {
    let job = |aggregates: &str| {
        yaml("rocksdb", "{ tumbling: 10s }", aggregates)
            .replace("unit: ms", "unit: ms, watermark: every_record")
            .replace("{ from: payments, key", "{ from: seconds, key")
            .replace(
                "streams:\n",
                "streams:\n  seconds: { from: payments, key: user, window: { tumbling: 1s, allowed_lateness: 1m }, aggregate: { amount: sum(amount) } }\n",
            )
    };
    let dir = saved(&job("total: sum(amount)"));
    // A user pays once a second at most before the savepoint, and the last second that is over then is the seventh.
    let rows = dir.tidegate(["savepoint", "inspect", "save", "--rows", "per_user"]).run().exits(0).values();
    let found = rows.iter().map(|row| json!({ "user": row["user"], "start": row["window_start"], "total": row["total"] }));
    let expected = before().into_iter().filter(|event| event.2 < 7_000);
    let expected = expected.map(|(user, amount, _)| json!({ "user": user, "start": 0, "total": amount }));
    assert_eq!(sorted(found.collect()), sorted(expected.collect()));
    let totals = |rows: Vec<Value>| {
        let of = |row: &Value| json!([row["user"], row["window_start"], row["window_end"], row["total"]]);
        sorted(rows.iter().map(of).collect())
    };
    let found = changed(&dir, &job("most: max(amount), total: sum(amount)"), &[]);
    assert_eq!(totals(found), totals(windows(tumbling)));
}
