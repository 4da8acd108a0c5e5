//! Compares joined rows with the same records joined as maps.

use std::collections::BTreeMap;

use super::*;

type Record = BTreeMap<String, Value>;

const NAMES: [&str; 5] = ["a", "b", "c", "p_a", "p_b"];

struct Random(u64);

impl Random {
    /// Returns true once in `n` calls on average.
    fn one_in(&mut self, n: u64) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(n)
    }

    fn some_of(&mut self, n: u64) -> Vec<&'static str> {
        NAMES.into_iter().filter(|_| self.one_in(n)).collect()
    }
}

/// Asks an open schema for a field, with and without its prefix.
fn ask(schema: &mut Schema, name: &str) {
    let mut name = Some(name);
    while let Some(asked) = name.filter(|_| schema.rest().is_some()) {
        schema.add_field(Field { name: asked.to_owned(), ty: Type::Any, optional: true });
        name = asked.strip_prefix("p_");
    }
}

/// Asks each side for the fields of the other, as planning does.
fn meet(left: &mut Schema, right: &mut Schema) {
    loop {
        let before = (left.clone(), right.clone());
        let sure = before.1.fields().filter(|(_, field)| !field.optional).map(|(_, field)| format!("p_{}", field.name));
        let names: Vec<String> = before.0.names().chain(before.1.names()).map(str::to_owned).chain(sure).collect();
        for name in &names {
            ask(left, name);
            ask(right, name);
        }
        if (&*left, &*right) == (&before.0, &before.1) {
            return;
        }
    }
}

fn row(schema: &Schema, record: &Record) -> Row {
    let mut row = schema.blank();
    let mut rest = Vec::new();
    for (name, value) in record {
        match schema.slot(name) {
            Some(slot) => row.0[slot] = value.clone(),
            None => rest.push((Value::string(name), value.clone())),
        }
    }
    if let Some(slot) = schema.rest() {
        row.0[slot] = Value::map(rest);
    }
    row
}

/// The fields of a row. No name occurs twice.
fn record(schema: &Schema, row: &Row) -> Record {
    assert_eq!(schema.width(), row.0.len());
    let named = schema.fields().filter(|(slot, _)| row.has(*slot)).map(|(slot, field)| (field.name.clone(), row.get(slot).clone()));
    let rest = match schema.rest().map(|slot| row.get(slot)) {
        Some(Value::Map(rest)) => rest.to_vec(),
        _ => Vec::new(),
    };
    let mut record = Record::new();
    for (name, value) in named.chain(rest.into_iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), value))) {
        assert!(record.insert(name.clone(), value).is_none(), "`{name}` stands twice in {row:?} of {schema:?}");
    }
    record
}

/// Joins the records as maps. `has` tells which fields the left has even if the record lacks them. `None` if two fields of the right would get
/// the same name.
fn joined(left: &Record, right: &Record, has: impl Fn(&str) -> bool) -> Option<Record> {
    let mut joined = left.clone();
    for (name, value) in right {
        let mut name = name.clone();
        while has(&name) || left.contains_key(&name) {
            name.insert_str(0, "p_");
        }
        if joined.insert(name, value.clone()).is_some() {
            return None;
        }
    }
    Some(joined)
}

#[test]
fn a_joined_row_is_the_joined_record() {
    let mut random = Random(7);
    let mut compared = 0;
    for case in 0..20_000 {
        let mut side =
            || if random.one_in(2) { Schema::open() } else { Schema::new(random.some_of(2).into_iter().map(|name| (name, Type::Int))) };
        let (mut left, mut right) = (side(), side());
        let (is_open, right_is_open) = (left.rest().is_some(), right.rest().is_some());
        let (asked, stated) = (random.some_of(4), random.some_of(6));
        for name in asked.iter().chain(&stated) {
            ask(&mut left, name);
            ask(&mut right, name);
        }
        meet(&mut left, &mut right);
        assert!(left.width() <= 16, "there is an end to the names: {left:?}");
        let mut values = |schema: &Schema, open: bool| -> Record {
            let names =
                NAMES.into_iter().filter(|name| if open { random.one_in(2) } else { schema.slot(name).is_some() }).collect::<Vec<_>>();
            names.into_iter().map(|name| (name.to_owned(), if random.one_in(4) { Value::Null } else { Value::Int(case) })).collect()
        };
        let (l, r) = (values(&left, is_open), values(&right, right_is_open));
        let sides = Sides {
            left: &left,
            right: &right,
            with: "p",
            stated: &|name| stated.contains(&name),
            either: &[],
            behind: &[("end", Type::Int)],
        };
        let (schema, arrangement) = sides.joined();
        let both: Row = row(&left, &l).0.into_iter().chain(row(&right, &r).0).chain([Value::Int(-1)]).collect();
        let mut found = record(&schema, &arrangement.map_or_else(|| both.clone(), |arrangement| arrangement.of(&both)));
        assert_eq!(found.remove("end"), Some(Value::Int(-1)));
        let has = |name: &str| left.slot(name).is_some() && (!is_open || stated.contains(&name));
        if let Some(expected) = joined(&l, &r, has) {
            assert_eq!(found, expected, "case {case}: {left:?} with {right:?}, of which {stated:?} are stated");
            compared += 1;
        }
    }
    assert!(compared > 5_000, "{compared}");
}

#[test]
fn the_key_of_a_full_join_is_that_of_the_side_that_is_there() {
    let (left, right) = (Schema::new([("id", Type::Int), ("l", Type::Int)]), Schema::new([("id", Type::Double), ("r", Type::Int)]));
    let sides = Sides { left: &left, right: &right, with: "p", stated: &|_| false, either: &[(0, 0)], behind: &[] };
    let (schema, arrangement) = sides.joined();
    assert_eq!(schema.names().collect::<Vec<_>>(), ["id", "l", "p_id", "r"]);
    assert_eq!(schema.named("id").map(|field| field.ty.clone()), Some(Type::Any));
    let of = |values: [Value; 4]| arrangement.as_ref().unwrap().of(&Row::from_iter(values)).get(0).clone();
    assert_eq!(of([Value::Int(1), Value::Null, Value::Null, Value::Null]), Value::Int(1));
    assert_eq!(of([Value::Null, Value::Null, Value::Double(2.0), Value::Null]), Value::Double(2.0));
}

#[test]
fn rows_of_a_union_keep_what_they_have() {
    let (left, right) = (Schema::new([("a", Type::Int), ("b", Type::Int)]), Schema::new([("c", Type::Int), ("a", Type::String)]));
    let united = united(&[&left, &right]);
    let fields: Vec<_> = united.fields().map(|(_, field)| (field.name.as_str(), field.ty.clone(), field.optional)).collect();
    assert_eq!(fields, [("a", Type::Any, false), ("b", Type::Int, true), ("c", Type::Int, true)]);
    let row = between(&right, &united).unwrap().of(&Row::from_iter([Value::Null, Value::string("x")]));
    assert_eq!(row.0.to_vec(), [Value::string("x"), Value::Absent, Value::Null]);
    assert!(between(&left, &left).is_none());
}
