//! Reads scenarios, rules and strategies. Control records are read by the same code as job files.

use std::sync::Arc;

use tidegate_rows::Value as Cell;
use tidegate_rules::{Band, Check, Mode, Part, Policy, Rollout, Rule, RulePart, Scenario, Score, Strategy, Then};

use super::list::read_time;
use crate::text::{Problem, Span, Spanned};
use crate::yaml::{Entry, Literal, Node, Reader, Table, Value, key, parse_duration, scalar};

pub(super) static SCENARIO: Table = Table {
    name: "scenario",
    title: "A scenario",
    keys: &[
        key("when", "expression", "always", "which records it is about"),
        key("params", "mapping", "none", "names that stand for values in its rules: numbers, durations, text, or `{ type: string, value: 5m }`"),
        key("lists", "[check, ...]", "none", "the looks into lists, in order; the first that hits and has an `action` decides"),
        key("rules", "mapping", "none", "the rules, by name"),
        key("strategy", "mapping", "the gravest action", "how hits become a decision"),
    ],
};

pub(super) static CHECK: Table = Table {
    name: "check",
    title: "A look into a list",
    keys: &[
        key("list", "name", "", "the list"),
        key("on", "expression", "", "what is looked up; null is on no list"),
        key("action", "action", "none", "decides, and nothing after it is asked"),
        key("as", "name", "none", "instead of `action`: a name for the rules, true if there is an entry"),
    ],
};

pub(super) static RULE: Table = Table {
    name: "rule",
    title: "A rule",
    keys: &[
        key("if", "expression", "", "the condition; it may use fields, parameters, factors and list facts"),
        key("action", "action", "none", "what to do; a rule without one only scores"),
        key("score", "number | expression", "0", "what a hit adds to the score"),
        key("reason", "text", "none", "why, with values as in `{fails} failed logins`"),
        key("subject", "expression", "none", "who or what a hit is about"),
        key("priority", "count", "0", "rules with a higher one come first"),
        key("mode", "live | shadow | off", "live", "shadow: evaluated and reported, without any effect"),
        key("from", "timestamp", "always", "from when on it exists, by event time"),
        key("to", "timestamp", "for ever", "until when it exists; at that moment it no longer does"),
        key("rollout", "mapping", "all", "for whom it exists"),
        key("on_error", "none | hit", "none", "hit: an error counts as a hit"),
    ],
};

pub(super) static ROLLOUT: Table = Table {
    name: "rollout",
    title: "rollout",
    keys: &[
        key("percent", "number", "", "the share, in steps of a hundredth"),
        key("by", "expression", "", "the value that decides, such as `user`; for null the rule does not exist"),
        key("salt", "text", "the name of the rule", "rules with the same salt get the same values"),
    ],
};

pub(super) static STRATEGY: Table = Table {
    name: "strategy",
    title: "strategy",
    keys: &[
        key("policy", "worst | first | score", "worst", "the gravest action of the hits, the first by priority, or the band of the score"),
        key("actions", "[name, ...]", "[accept, review, reject]", "all actions, from mild to grave"),
        key("default", "action", "the mildest", "the action when nothing decides"),
        key("bands", "[band, ...]", "none", "with `policy: score`: the scores from which on an action follows"),
        key("degraded", "action", "the mildest", "the least action of a decision with errors"),
    ],
};

pub(super) static BAND: Table = Table {
    name: "band",
    title: "A band of scores",
    keys: &[key("from", "number", "", "the lowest score of the band"), key("action", "action", "", "the action")],
};

/// Texts of a scenario or a rule, by the part that they are.
type Texts<P> = Vec<(P, Spanned<String>)>;

/// What a scenario says but for its rules.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The scenario, without rules.
    pub(super) scenario: Scenario,
    texts: Texts<Part>,
}

/// A rule as read.
#[derive(Clone, Debug)]
pub(super) struct ReadRule {
    pub(super) name: Spanned<String>,
    pub(super) rule: Arc<Rule>,
    texts: Texts<RulePart>,
}

impl Head {
    /// The text of a part.
    pub(super) fn text(&self, part: &Part) -> Option<&Spanned<String>> {
        self.texts.iter().find(|(known, _)| known == part).map(|(_, text)| text)
    }
}

impl ReadRule {
    /// The text of a part.
    pub(super) fn text(&self, part: RulePart) -> &Spanned<String> {
        self.texts.iter().find(|(known, _)| *known == part).map_or(&self.name, |(_, text)| text)
    }

    /// All its texts that are expressions, or have names in them.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.texts.iter().map(|(_, text)| text)
    }
}

impl Head {
    /// All its texts that are expressions.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.texts.iter().filter(|(part, _)| matches!(part, Part::When | Part::CheckOn(_))).map(|(_, text)| text)
    }
}

/// Reads a scenario but for its rules.
pub(super) fn head(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<Head> {
    let fields = reader.fields(node, &name.span, &[&SCENARIO], &format!("scenario `{}`", name.value))?;
    let before = reader.problems.len();
    let mut texts = Texts::new();
    let when = fields.written("when").and_then(|node| reader.text(node, "an expression"));
    texts.extend(when.iter().map(|text| (Part::When, text.clone())));
    let mut params = Vec::new();
    if let Some(entries) = fields.get("params").and_then(|node| reader.entries(node, "a mapping from names to values")) {
        for entry in entries {
            let (Some(name), Some(value)) = (reader.field_name(&entry.key), param(reader, &entry.value)) else { continue };
            texts.push((Part::Param(name.value.clone()), name.clone()));
            params.push((name.value, value));
        }
    }
    let mut checks = Vec::new();
    match fields.get("lists").map(|node| (&node.value, node)) {
        None => {}
        Some((Value::List(items), _)) => {
            for item in items {
                checks.extend(check(reader, item, checks.len(), &mut texts));
            }
        }
        Some((_, node)) => _ = reader.wrong::<()>(node, "a list of looks into lists, such as `[{ list: black, on: user, action: reject }]`"),
    }
    let at = fields.key("strategy").unwrap_or(&name.span);
    let strategy = fields.get("strategy").and_then(|node| strategy(reader, node, at, &mut texts)).unwrap_or_default();
    let scenario = Scenario { name: name.value.clone(), when: when.map(|when| when.value), params, checks, rules: Vec::new(), strategy };
    (reader.problems.len() == before).then_some(Head { scenario, texts })
}

/// Reads the value of a parameter.
fn param(reader: &mut Reader, node: &Node) -> Option<Cell> {
    match &node.value {
        Value::Scalar { .. } => Some(match reader.literal(node)? {
            Literal::Null => return reader.wrong(node, "a value"),
            Literal::Bool(value) => Cell::Bool(value),
            Literal::Int(value) => Cell::Int(value),
            Literal::Double(value) => Cell::Double(value),
            Literal::String(text) => match parse_duration(&text).filter(|_| text.contains(char::is_alphabetic)) {
                Some(span) => Cell::Duration(span),
                None => Cell::string(text),
            },
        }),
        Value::List(items) => items.iter().map(|item| param(reader, item)).collect::<Option<Vec<_>>>().map(Cell::list),
        Value::Map(entries) => typed(reader, node, entries),
    }
}

/// Reads a value with its type: `{ type: string, value: 5m }`.
fn typed(reader: &mut Reader, node: &Node, entries: &[Entry]) -> Option<Cell> {
    let of = |name: &str| entries.iter().find(|entry| entry.key.value == name).map(|entry| &entry.value);
    let (Some(ty), Some(value), 2) = (of("type"), of("value"), entries.len()) else {
        return reader.wrong(node, "a value, or `{ type: string, value: 5m }`");
    };
    let types = [("string", 0), ("int", 1), ("double", 2), ("bool", 3), ("duration", 4), ("timestamp", 5), ("decimal", 6)];
    let ty = reader.word(ty, "param.type", &types)?;
    let text = scalar(value).unwrap_or_default();
    let read = match ty.value {
        0 => scalar(value).map(Cell::string),
        1 => text.parse().ok().map(Cell::Int),
        2 => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Cell::Double),
        3 => text.parse().ok().map(Cell::Bool),
        4 => parse_duration(text).map(Cell::Duration),
        5 => tidegate_rows::format::instant(text).map(Cell::Timestamp),
        _ => text.parse().ok().map(Cell::Decimal),
    };
    read.or_else(|| reader.wrong(value, &format!("a {}", ty.span.text())))
}

fn check(reader: &mut Reader, node: &Node, place: usize, texts: &mut Texts<Part>) -> Option<Check> {
    let fields = reader.fields(node, &node.span, &[&CHECK], "a look into a list")?;
    let list = reader.required(&fields, "list").and_then(|node| reader.text(node, "the name of a list"));
    let on = reader.required(&fields, "on").and_then(|node| reader.text(node, "an expression"));
    let action = fields.get("action").and_then(|node| reader.text(node, "an action"));
    let fact = fields.get("as").and_then(|node| reader.name(node));
    let (then, text) = match (action, fact) {
        (Some(action), None) => (Then::Decide(action.value.clone()), action),
        (None, Some(fact)) => (Then::Fact(fact.value.clone()), fact),
        (Some(_), Some(fact)) => return reader.fail(&fact.span, "a look into a list has an `action`, which decides, or a name by `as`, and not both"),
        (None, None) if fields.get("action").is_some() || fields.get("as").is_some() => return None,
        (None, None) => {
            return reader.fail(&fields.at, "a look into a list needs an `action`, which decides, or a name by `as`, which rules can use");
        }
    };
    let (list, on) = (list?, on?);
    texts.extend([(Part::CheckList(place), list.clone()), (Part::CheckOn(place), on.clone()), (Part::CheckThen(place), text)]);
    Some(Check { list: list.value, on: on.value, then })
}

fn strategy(reader: &mut Reader, node: &Node, at: &Span, texts: &mut Texts<Part>) -> Option<Strategy> {
    let fields = reader.fields(node, at, &[&STRATEGY], "`strategy`")?;
    let words = [("worst", 0), ("first", 1), ("score", 2)];
    let policy = fields.get("policy").and_then(|node| reader.word(node, "strategy.policy", &words)).map_or(0, |policy| policy.value);
    let mut strategy = Strategy::default();
    if let Some(node) = fields.get("actions") {
        let actions = reader.one_or_more(node, "an action");
        texts.extend(actions.first().map(|first| (Part::Actions, first.clone())));
        strategy.actions = actions.into_iter().map(|action| action.value).collect();
    }
    let mut action = |key: &str, part: Part| {
        let action = fields.get(key).and_then(|node| reader.text(node, "an action"))?;
        texts.push((part, action.clone()));
        Some(action.value)
    };
    strategy.default = action("default", Part::Default);
    strategy.degraded = action("degraded", Part::Degraded);
    let bands = fields.get("bands").map(|node| bands(reader, node, texts)).unwrap_or_default();
    strategy.policy = match policy {
        0 => Policy::Worst,
        1 => Policy::First,
        _ => Policy::Score(bands),
    };
    if let Some(at) = fields.key("bands").filter(|_| policy != 2) {
        return reader.fail(at, "`bands` need `policy: score`");
    }
    Some(strategy)
}

fn bands(reader: &mut Reader, node: &Node, texts: &mut Texts<Part>) -> Vec<Band> {
    let Value::List(items) = &node.value else {
        reader.wrong::<()>(node, "a list of bands, such as `[{ from: 30, action: review }]`");
        return Vec::new();
    };
    let mut bands: Vec<Band> = Vec::new();
    for item in items {
        let Some(fields) = reader.fields(item, &item.span, &[&BAND], "a band of scores") else { continue };
        let from = reader.required(&fields, "from").and_then(|node| reader.number(node));
        let action = reader.required(&fields, "action").and_then(|node| reader.text(node, "an action"));
        let Some((from, action)) = from.zip(action) else { continue };
        if bands.last().is_some_and(|before| before.from >= from.value) {
            reader.push(from.problem("bands come in ascending order of `from`"));
        }
        texts.push((Part::Band(bands.len()), action.clone()));
        bands.push(Band { from: from.value, action: action.value });
    }
    bands
}

/// Reads a rule.
pub(super) fn rule(reader: &mut Reader, name: &Spanned<String>, node: &Node) -> Option<ReadRule> {
    let name = reader.field_name(name)?;
    let fields = reader.fields(node, &name.span, &[&RULE], &format!("rule `{}`", name.value))?;
    let before = reader.problems.len();
    let mut texts = Texts::new();
    let condition = reader.required(&fields, "if").and_then(|node| reader.text(node, "an expression"));
    texts.extend(condition.iter().map(|text| (RulePart::If, text.clone())));
    let mut text = |reader: &mut Reader, key: &str, expected: &str, part: RulePart| {
        let text = fields.get(key).and_then(|node| reader.text(node, expected))?;
        texts.push((part, text.clone()));
        Some(text.value)
    };
    let action = text(reader, "action", "an action", RulePart::Action);
    let reason = text(reader, "reason", "a text", RulePart::Reason);
    let subject = text(reader, "subject", "an expression", RulePart::Subject);
    let score = fields.get("score").and_then(|node| {
        Some(match reader.literal(node)? {
            Literal::Int(score) => Score::Fixed(Cell::Int(score)),
            Literal::Double(score) => Score::Fixed(Cell::Double(score)),
            _ => Score::Computed(text(reader, "score", "a number, or an expression", RulePart::Score)?),
        })
    });
    let priority = fields.get("priority").and_then(|node| match reader.literal(node) {
        Some(Literal::Int(priority)) => Some(priority),
        _ => reader.wrong(node, "a whole number"),
    });
    let modes = [("live", Mode::Live), ("shadow", Mode::Shadow), ("off", Mode::Off)];
    let mode = fields.get("mode").and_then(|node| reader.word(node, "rule.mode", &modes)).map(|mode| mode.value);
    let from = fields.get("from").and_then(|node| read_time(reader, node));
    let to = fields.get("to").and_then(|node| read_time(reader, node));
    let rollout = fields.get("rollout").zip(fields.key("rollout")).and_then(|(node, at)| rollout(reader, node, at, &mut texts));
    let on_error = fields.get("on_error").and_then(|node| reader.word(node, "rule.on_error", &[("none", false), ("hit", true)]));
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        reader.push(fields.at.problem("the rule ends before it begins"));
    }
    let rule = Rule {
        name: name.value.clone(),
        condition: condition?.value,
        action,
        score: score.unwrap_or_default(),
        reason,
        subject,
        priority: priority.unwrap_or(0),
        mode: mode.unwrap_or_default(),
        from,
        to,
        rollout,
        hit_on_error: on_error.is_some_and(|on_error| on_error.value),
    };
    (reader.problems.len() == before).then(|| ReadRule { name, rule: Arc::new(rule), texts })
}

fn rollout(reader: &mut Reader, node: &Node, at: &Span, texts: &mut Texts<RulePart>) -> Option<Rollout> {
    let fields = reader.fields(node, at, &[&ROLLOUT], "`rollout`")?;
    let percent = reader.required(&fields, "percent").and_then(|node| reader.number(node));
    let by = reader.required(&fields, "by").and_then(|node| reader.text(node, "an expression"));
    let salt = fields.get("salt").and_then(|node| reader.text(node, "a text")).map(|salt| salt.value);
    let (percent, by) = (percent?, by?);
    if !(0.0..=100.0).contains(&percent.value) {
        return reader.fail(&percent.span, format!("`{}` is no share: percent are from 0 to 100", percent.span.text()));
    }
    texts.push((RulePart::By, by.clone()));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 10,000")]
    let share = (percent.value * 100.0).round() as u32;
    Some(Rollout { share, by: by.value, salt })
}

/// The problem of a part whose text is not known, at the name of what it belongs to.
pub(super) fn placed(text: &Spanned<String>, problem: tidegate_expr::Problem) -> Problem {
    crate::relation::expression::located(text, 0, problem)
}
