//! What decisions cost, and what a change of the rules does: `cargo bench -p tidegate-rules`.
#![allow(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use tidegate_rows::{Row, Schema, Type, Value};
use tidegate_rules::{Compiler, Entry, Factors, Judge, List, Lists, Match, NoOps, Rule, Rules, Scenario};

const INDICATORS: usize = 50;

/// Records with a kind and fifty indicators.
fn schema() -> Schema {
    let indicators = (0..INDICATORS).map(|i| (format!("n{i}"), Type::Int));
    Schema::new([("kind".to_owned(), Type::String), ("amount".to_owned(), Type::Double)].into_iter().chain(indicators))
}

fn rows() -> Vec<Row> {
    let row = |i: usize| {
        let indicators = (0..INDICATORS).map(|n| Value::Int(((i * 31 + n * 7) % 40) as i64));
        [Value::string(format!("kind{}", i % 50)), Value::Double(i as f64)].into_iter().chain(indicators).collect()
    };
    (0..1_000).map(row).collect()
}

/// A rule over two or three indicators that holds for few records. `kinds`: it can apply to one in so many.
fn rule(i: usize, kinds: usize) -> Arc<Rule> {
    let kind = if kinds > 1 { format!("kind == 'kind{}' && ", i % kinds) } else { String::new() };
    let (a, b) = (i % INDICATORS, (i * 13 + 7) % INDICATORS);
    let condition = format!("{kind}n{a} > {} && (n{b} >= {} || amount > {}.0)", 30 + i % 10, 38, 900 + i % 7);
    Arc::new(Rule::new(format!("r{i}"), condition).action("review").score(Value::Int(1)).reason("{amount}"))
}

fn scenario(rules: usize, kinds: usize) -> Arc<Scenario> {
    let mut scenario = Scenario::new("all");
    scenario.rules = (0..rules).map(|i| rule(i, kinds)).collect();
    Arc::new(scenario)
}

/// Microseconds of one decision, the best of some rounds, and how many rules hit.
fn micros(rules: &Rules, compiler: &Compiler, rows: &[Row]) -> (f64, f64) {
    let (mut judge, mut out) = (Judge::default(), Vec::new());
    let (mut best, mut hits) = (f64::INFINITY, 0);
    for _ in 0..20 {
        let copies = rows.to_vec();
        let start = Instant::now();
        for row in copies {
            let _ = judge.decide(rules, row, 0, compiler.lists(), &NoOps, black_box(&mut out));
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / rows.len() as f64);
        let slot = schema().width() + 4;
        hits = out.iter().map(|row| if let Value::List(hits) = row.get(slot) { hits.len() } else { 0 }).sum();
        out.clear();
    }
    (best, hits as f64 / rows.len() as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (schema, rows, factors) = (schema(), rows(), Factors::default());
    let compiler = Compiler::new(&schema, Lists::default());
    for (rules, kinds, what) in [
        (1_000, 50, "1,000 rules, of which 20 can apply"),
        (1_000, 1, "1,000 rules, all of which apply"),
        (10_000, 500, "10,000 rules, of which 20 can apply"),
    ] {
        let start = Instant::now();
        let compiled = compiler.scenario(&scenario(rules, kinds), &factors, None, &|_| false).map_err(|p| format!("{p:?}"))?;
        let load = start.elapsed().as_secs_f64() * 1e3;
        let compiled = Rules::new(vec![Arc::new(compiled)], 0);
        let (micros, hits) = micros(&compiled, &compiler, &rows);
        println!("{micros:>8.2} us a decision: {what} ({hits:.2} hits each; loaded in {load:.0} ms)");
    }

    let old = scenario(10_000, 500);
    let before = compiler.scenario(&old, &factors, None, &|_| false).map_err(|p| format!("{p:?}"))?;
    let mut best = f64::INFINITY;
    for i in 0..10 {
        let mut new = Scenario::clone(&old);
        new.rules[i] = rule(77_777 + i, 500);
        let new = Arc::new(new);
        let start = Instant::now();
        black_box(compiler.scenario(&new, &factors, Some(&before), &|_| false).map_err(|p| format!("{p:?}"))?);
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    println!("{best:>8.2} ms to compile a version with one changed rule of 10,000");

    let entries = 5_000_000;
    let (before, start) = (resident(), Instant::now());
    let mut list = List::new("black", Match::Exact);
    for i in 0..entries {
        list.insert(&format!("{:015}", i * 7), Entry::default())?;
    }
    let bytes = resident().zip(before).map_or(f64::NAN, |(after, before)| (after - before) as f64 / f64::from(entries));
    println!(
        "{:>8.2} s for a list of 5,000,000 entries, {:.0} bytes each beyond the key of 15",
        start.elapsed().as_secs_f64(),
        bytes - 15.0
    );
    black_box(list.find("000000000000070", 0, &NoOps)?);
    Ok(())
}

/// The resident memory of this process in bytes, where the system tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
