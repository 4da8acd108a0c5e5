//! Random scenarios, rules and records against a model that knows no atoms, no memo and no index.

use std::sync::Arc;

use proptest::prelude::*;
use tidegate_rows::{Row, Schema, Type, Value};

use crate::{Band, Compiler, Factors, Judge, Lists, Mode, NoOps, Policy, Rollout, Rule, Rules, Scenario, Score, Strategy as Way, bucket};

/// A condition, which prints as its text and has a value of its own.
#[derive(Clone, Debug)]
enum Cond {
    /// A comparison of an integer field with a constant, or with the parameter.
    Number(&'static str, &'static str, Option<i64>),
    /// A test for equality of text.
    Text(&'static str),
    OneOf(Vec<&'static str>),
    Flag,
    IsNull(&'static str),
    /// Fails where `a` is zero or null.
    Divides,
    /// A call of the factor `over(x)`.
    Factor(i64),
    Const(bool),
    Not(Box<Cond>),
    And(Vec<Cond>),
    Or(Vec<Cond>),
}

/// A record: two numbers, a text, and a flag, each of which may be null.
#[derive(Clone, Debug)]
struct Rec {
    a: Option<i64>,
    b: Option<i64>,
    s: Option<&'static str>,
    f: Option<bool>,
    time: i64,
}

const LIMIT: i64 = 2;

impl Cond {
    fn text(&self) -> String {
        match self {
            Self::Number(field, op, Some(with)) => format!("{field} {op} {with}"),
            Self::Number(field, op, None) => format!("{field} {op} limit"),
            Self::Text(text) => format!("s == '{text}'"),
            Self::OneOf(texts) => format!("s in [{}]", texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(", ")),
            Self::Flag => "f".to_owned(),
            Self::IsNull(field) => format!("{field} == null"),
            Self::Divides => "6 / a > 1".to_owned(),
            Self::Factor(with) => format!("over({with})"),
            Self::Const(value) => value.to_string(),
            Self::Not(of) => format!("!({})", of.text()),
            Self::And(of) => of.iter().map(|of| format!("({})", of.text())).collect::<Vec<_>>().join(" && "),
            Self::Or(of) => of.iter().map(|of| format!("({})", of.text())).collect::<Vec<_>>().join(" || "),
        }
    }

    /// The value; `None` is an error.
    fn value(&self, rec: &Rec) -> Option<bool> {
        let field = |name: &str| if name == "a" { rec.a } else { rec.b };
        match self {
            Self::Number(name, op, with) => {
                let (value, with) = (field(name), with.unwrap_or(LIMIT));
                match *op {
                    "==" => Some(value == Some(with)),
                    "!=" => Some(value != Some(with)),
                    ">" => value.map(|value| value > with),
                    _ => value.map(|value| value <= with),
                }
            }
            Self::Text(text) => Some(rec.s == Some(text)),
            // As the expressions have it: an error for null, or false.
            Self::OneOf(texts) => Some(rec.s.is_some_and(|s| texts.contains(&s))),
            Self::Flag => rec.f,
            Self::IsNull(name) => Some(field(name).is_none()),
            Self::Divides => rec.a.filter(|a| *a != 0).map(|a| 6 / a > 1),
            Self::Factor(with) => rec.b.map(|b| b > *with),
            Self::Const(value) => Some(*value),
            Self::Not(of) => of.value(rec).map(|value| !value),
            Self::And(of) => Self::joined(of, rec, false),
            Self::Or(of) => Self::joined(of, rec, true),
        }
    }

    fn joined(of: &[Self], rec: &Rec, decides: bool) -> Option<bool> {
        let all: Vec<_> = of.iter().map(|of| of.value(rec)).collect();
        if all.contains(&Some(decides)) { Some(decides) } else { all.into_iter().collect::<Option<Vec<_>>>().map(|_| !decides) }
    }
}

fn conditions() -> impl Strategy<Value = Cond> {
    let op = proptest::sample::select(vec!["==", "!=", ">", "<="]);
    let text = || proptest::sample::select(vec!["x", "y", "z"]);
    let leaf = prop_oneof![
        4 => (proptest::sample::select(vec!["a", "b"]), op, proptest::option::of(0_i64..4)).prop_map(|(field, op, with)| Cond::Number(field, op, with)),
        3 => text().prop_map(Cond::Text),
        1 => proptest::collection::vec(text(), 1..3).prop_map(Cond::OneOf),
        1 => Just(Cond::Flag),
        1 => proptest::sample::select(vec!["a", "b"]).prop_map(Cond::IsNull),
        1 => Just(Cond::Divides),
        1 => (0_i64..3).prop_map(Cond::Factor),
        1 => any::<bool>().prop_map(Cond::Const),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|of| Cond::Not(Box::new(of))),
            3 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Cond::And),
            1 => proptest::collection::vec(inner, 2..4).prop_map(Cond::Or),
        ]
    })
}

const ACTIONS: [&str; 3] = ["accept", "review", "reject"];

fn a_rule() -> impl Strategy<Value = (Cond, Rule)> {
    let action = proptest::option::of(proptest::sample::select(ACTIONS.to_vec()));
    let mode = proptest::sample::select(vec![Mode::Live, Mode::Live, Mode::Live, Mode::Shadow, Mode::Off]);
    let ends = (proptest::option::of(0_i64..20), proptest::option::of(5_i64..25));
    let share = proptest::option::of(0_u32..10_001);
    (conditions(), action, -20_i64..60, -1_i64..3, mode, ends, share, any::<bool>()).prop_map(
        |(cond, action, score, priority, mode, (from, to), share, hit_on_error)| {
            let rollout = share.map(|share| Rollout { share, by: "s".into(), salt: Some("salt".into()) });
            // One in four computes its score, which may fail.
            let score = if score % 4 == 0 { Score::Computed(format!("{score} + b")) } else { Score::Fixed(Value::Int(score)) };
            let condition = cond.text();
            let rule = Rule {
                condition,
                action: action.map(str::to_owned),
                score,
                priority,
                mode,
                from,
                to,
                rollout,
                hit_on_error,
                ..Rule::default()
            };
            (cond, rule)
        },
    )
}

fn ways() -> impl Strategy<Value = Way> {
    let bands = vec![Band { from: 10.0, action: "review".into() }, Band { from: 40.0, action: "reject".into() }];
    let policy = proptest::sample::select(vec![Policy::Worst, Policy::First, Policy::Score(bands)]);
    let action = || proptest::option::of(proptest::sample::select(ACTIONS.to_vec()));
    (policy, action(), action()).prop_map(|(policy, default, degraded)| Way {
        policy,
        default: default.map(str::to_owned),
        degraded: degraded.map(str::to_owned),
        ..Way::default()
    })
}

fn records() -> impl Strategy<Value = Rec> {
    let number = || proptest::option::weighted(0.8, -1_i64..5);
    let text = proptest::option::weighted(0.8, proptest::sample::select(vec!["x", "y", "z", "w"]));
    (number(), number(), text, proptest::option::weighted(0.8, any::<bool>()), 0_i64..25).prop_map(|(a, b, s, f, time)| Rec {
        a,
        b,
        s,
        f,
        time,
    })
}

/// The decision of a model: action, score, hits, errors, and the same of shadow rules.
#[derive(Debug, PartialEq)]
struct Told {
    action: String,
    score: i64,
    hits: Vec<String>,
    errors: Vec<String>,
    shadow: Option<(String, i64, Vec<String>, Vec<String>)>,
}

#[derive(Clone)]
struct Found {
    place: usize,
    name: String,
    action: Option<usize>,
    score: i64,
}

fn place_of(action: &str) -> usize {
    ACTIONS.iter().position(|known| *known == action).unwrap()
}

fn decide(way: &Way, hits: &[Found], degraded: bool) -> usize {
    let gravest = hits.iter().filter_map(|hit| hit.action).max();
    let decided = match &way.policy {
        Policy::Worst => gravest,
        Policy::First => hits.iter().find_map(|hit| hit.action),
        Policy::Score(bands) => {
            let score: i64 = hits.iter().map(|hit| hit.score).sum();
            let band = bands.iter().filter(|band| band.from <= score as f64).map(|band| place_of(&band.action)).next_back();
            band.max(gravest)
        }
    };
    let floor = if degraded { way.degraded.as_deref().map_or(0, place_of) } else { 0 };
    decided.unwrap_or_else(|| way.default.as_deref().map_or(0, place_of)).max(floor)
}

fn model(rules: &[(Cond, Rule)], way: &Way, rec: &Rec) -> Told {
    let mut order: Vec<&(Cond, Rule)> = rules.iter().collect();
    order.sort_by_key(|(_, rule)| -rule.priority);
    let exists = |rule: &Rule| {
        let share = rule.rollout.as_ref().is_none_or(|rollout| rec.s.is_some_and(|s| bucket("salt", s) < rollout.share));
        rule.from.is_none_or(|from| from <= rec.time) && rule.to.is_none_or(|to| rec.time < to) && share
    };
    let run = |mode: Mode, stops: bool| {
        let (mut hits, mut errors) = (Vec::new(), Vec::new());
        for (place, (cond, rule)) in order.iter().enumerate().filter(|(_, (_, rule))| rule.mode == mode && exists(rule)) {
            let value = cond.value(rec);
            if value == Some(false) {
                continue;
            }
            let score = match &rule.score {
                Score::Fixed(Value::Int(score)) => Some(*score),
                Score::Computed(text) => rec.b.map(|b| text.split(' ').next().unwrap().parse::<i64>().unwrap() + b),
                Score::Fixed(_) => unreachable!(),
            };
            if value.is_none() || score.is_none() {
                errors.push(rule.name.clone());
                if !rule.hit_on_error {
                    continue;
                }
            }
            let action = rule.action.as_deref().map(place_of);
            hits.push(Found { place, name: rule.name.clone(), action, score: score.unwrap_or(0) });
            if stops && action.is_some() {
                break;
            }
        }
        (hits, errors)
    };
    let first = way.policy == Policy::First;
    let (hits, errors) = run(Mode::Live, first);
    let in_effect = order.iter().any(|(_, rule)| rule.mode == Mode::Shadow && exists(rule));
    let shadow = in_effect.then(|| {
        let (of_shadow, wrong) = run(Mode::Shadow, false);
        let mut all: Vec<Found> = hits.iter().chain(&of_shadow).cloned().collect();
        all.sort_by_key(|hit| hit.place);
        if first && let Some(last) = all.iter().position(|hit| hit.action.is_some()) {
            all.truncate(last + 1);
        }
        let action = decide(way, &all, !errors.is_empty() || !wrong.is_empty());
        (ACTIONS[action].to_owned(), all.iter().map(|hit| hit.score).sum(), of_shadow.into_iter().map(|hit| hit.name).collect(), wrong)
    });
    Told {
        action: ACTIONS[decide(way, &hits, !errors.is_empty())].to_owned(),
        score: hits.iter().map(|hit| hit.score).sum(),
        hits: hits.into_iter().map(|hit| hit.name).collect(),
        errors,
        shadow,
    }
}

fn get<'v>(map: &'v Value, key: &str) -> &'v Value {
    let Value::Map(entries) = map else { return &Value::Null };
    entries.iter().find(|(known, _)| known.as_str() == Some(key)).map_or(&Value::Null, |(_, value)| value)
}

fn names(list: &Value) -> Vec<String> {
    let Value::List(items) = list else { panic!("{list:?} is no list") };
    items.iter().map(|item| get(item, "rule").as_str().unwrap().to_owned()).collect()
}

fn int(value: &Value) -> i64 {
    let Value::Int(value) = value else { panic!("{value:?} is no integer") };
    *value
}

fn told(row: &Row) -> Told {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let shadow = row.get(9);
    let shadow = (!shadow.is_null())
        .then(|| (text(get(shadow, "action")), int(get(shadow, "score")), names(get(shadow, "hits")), names(get(shadow, "errors"))));
    Told { action: text(row.get(5)), score: int(row.get(6)), hits: names(row.get(8)), errors: names(row.get(10)), shadow }
}

fn factors() -> Factors {
    Factors::read([("over(x)", "b > x")]).0
}

fn compiler() -> Compiler {
    let records = Schema::new([("a", Type::Int), ("b", Type::Int), ("s", Type::String), ("f", Type::Bool)]);
    Compiler::new(&records, Lists::default())
}

fn row(rec: &Rec) -> Row {
    let int = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
    [int(rec.a), int(rec.b), rec.s.map_or(Value::Null, Value::string), rec.f.map_or(Value::Null, Value::Bool)].into_iter().collect()
}

fn scenario(rules: &[(Cond, Rule)], way: &Way) -> Arc<Scenario> {
    let start = Scenario::new("s").param("limit", Value::Int(LIMIT)).strategy(way.clone());
    Arc::new(rules.iter().fold(start, |scenario, (_, rule)| scenario.rule(rule.clone())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn decisions_are_those_of_the_model(
        mut rules in proptest::collection::vec(a_rule(), 0..9),
        way in ways(),
        records in proptest::collection::vec(records(), 1..20),
    ) {
        rules.iter_mut().enumerate().for_each(|(i, (_, rule))| rule.name = format!("r{i}"));
        let compiler = compiler();
        let compiled = compiler.scenario(&scenario(&rules, &way), &factors(), None, &|_| false).map_err(|p| TestCaseError::fail(format!("{p:?}")))?;
        let compiled = Rules::new(vec![Arc::new(compiled)], 7);
        let mut judge = Judge::default();
        for rec in &records {
            let mut out = Vec::new();
            judge.decide(&compiled, row(rec), rec.time, compiler.lists(), &NoOps, &mut out).unwrap();
            prop_assert_eq!(out.len(), 1);
            prop_assert_eq!(told(&out[0]), model(&rules, &way, rec), "{:?}", rec);
            prop_assert_eq!(int(out[0].get(12)), 7);
        }
    }

    /// Rules that are taken over from the version before decide as those that are compiled anew.
    #[test]
    fn a_changed_scenario_is_as_one_compiled_anew(
        mut rules in proptest::collection::vec(a_rule(), 1..7),
        other in a_rule(),
        place in any::<proptest::sample::Index>(),
        limit in 0_i64..4,
        over in 0_i64..3,
        records in proptest::collection::vec(records(), 1..10),
    ) {
        rules.iter_mut().enumerate().for_each(|(i, (_, rule))| rule.name = format!("r{i}"));
        let (compiler, way) = (compiler(), Way::default());
        let old = scenario(&rules, &way);
        let before = compiler.scenario(&old, &factors(), None, &|_| false).map_err(|p| TestCaseError::fail(format!("{p:?}")))?;
        let mut new = Scenario::clone(&old);
        new.params[0].1 = Value::Int(limit);
        let at = place.index(new.rules.len());
        new.rules[at] = Arc::new(Rule { name: new.rules[at].name.clone(), ..other.1 });
        let (new, body) = (Arc::new(new), format!("b > x + {over}"));
        let changed = Factors::read([("over(x)", body.as_str())]).0;
        let taken = compiler.scenario(&new, &changed, Some(&before), &|_| true).unwrap();
        let anew = self::compiler().scenario(&new, &changed, None, &|_| false).unwrap();
        let (taken, anew) = (Rules::new(vec![Arc::new(taken)], 1), Rules::new(vec![Arc::new(anew)], 1));
        let (mut judge, mut fresh) = (Judge::default(), Judge::default());
        for rec in &records {
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            judge.decide(&taken, row(rec), rec.time, compiler.lists(), &NoOps, &mut out).unwrap();
            fresh.decide(&anew, row(rec), rec.time, compiler.lists(), &NoOps, &mut expected).unwrap();
            prop_assert_eq!(out, expected);
        }
    }
}
