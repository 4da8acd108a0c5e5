//! Scenarios as a person would draw them.

use std::fmt::Write;

use tidegate_rows::Value;
use tidegate_rules::{Mode, Policy, Rule, Scenario, Score, Strategy, Then};

use super::Rules;
use crate::file::JobFile;
use crate::stage::Stage;
use crate::yaml::duration_text;

/// What the rules of each stream do with a record, step by step; nothing if the job has no rules.
#[must_use]
pub fn drawn(file: &JobFile) -> String {
    let mut out = String::new();
    for stream in &file.streams {
        if let Some(Stage::Rules(rules)) = &stream.stage {
            rules.draw(stream.head.name.as_str(), &mut out);
        }
    }
    out
}

impl Rules {
    fn draw(&self, stream: &str, out: &mut String) {
        for scenario in &self.document.scenarios {
            let rules: Vec<&Rule> = scenario.rules.iter().map(|rule| &*rule.read.rule).collect();
            let Scenario { name, when, params, checks, strategy, .. } = &scenario.head.scenario;
            let when = when.as_ref().map_or("every record".to_owned(), |when| format!("a record with {}", when.trim()));
            let _ = writeln!(out, "{stream}, scenario {name}: {when}");
            for check in checks {
                let then = match &check.then {
                    Then::Decide(action) => format!("{action}, and nothing else is asked"),
                    Then::Fact(fact) => format!("the rules know it as {fact}"),
                };
                let _ = writeln!(out, "  |  is {} on the list {}?  {then}", check.on.trim(), check.list);
            }
            let mut ordered = rules;
            ordered.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
            let width = ordered.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0);
            for rule in ordered {
                draw_rule(rule, width, out);
            }
            let _ = writeln!(out, "  v  {}", of_strategy(strategy));
            if !params.is_empty() {
                let params: Vec<String> = params.iter().map(|(name, value)| format!("{name} = {}", shown(value))).collect();
                let _ = writeln!(out, "     with {}", params.join(", "));
            }
            out.push('\n');
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Duration(span) => duration_text(*span),
        other => tidegate_expr::plain(other),
    }
}

fn draw_rule(rule: &Rule, width: usize, out: &mut String) {
    let mut then: Vec<String> = rule.action.iter().cloned().collect();
    match &rule.score {
        Score::Fixed(Value::Int(0)) => {}
        Score::Fixed(score) => then.push(format!("score {}", shown(score))),
        Score::Computed(text) => then.push(format!("score {}", text.trim())),
    }
    let mut told = Vec::new();
    match rule.mode {
        Mode::Live => {}
        Mode::Shadow => told.push("shadow".to_owned()),
        Mode::Off => told.push("off".to_owned()),
    }
    if let Some(rollout) = &rule.rollout {
        told.push(format!("for {} % by {}", f64::from(rollout.share) / 100.0, rollout.by.trim()));
    }
    let time = |ms: i64| shown(&Value::timestamp_ms(ms));
    told.extend(rule.from.map(|from| format!("from {}", time(from))));
    told.extend(rule.to.map(|to| format!("to {}", time(to))));
    if rule.hit_on_error {
        told.push("an error is a hit".to_owned());
    }
    let told = if told.is_empty() { String::new() } else { format!("  ({})", told.join(", ")) };
    let then = if then.is_empty() { "only noted".to_owned() } else { then.join(", ") };
    let _ = writeln!(out, "  |  {:width$}  if {}:  {then}{told}", rule.name, rule.condition.trim());
}

fn of_strategy(strategy: &Strategy) -> String {
    let mildest = strategy.actions.first().map_or("", String::as_str);
    let default = strategy.default.as_deref().unwrap_or(mildest);
    let how = match &strategy.policy {
        Policy::Worst => format!("the gravest action of all hits, else {default}"),
        Policy::First => format!("the first hit with an action decides, else {default}"),
        Policy::Score(bands) => {
            let bands: Vec<String> = bands.iter().map(|band| format!("{} from {}", band.action, band.from)).collect();
            format!("by the sum of scores: {}, else {default}; actions of hits are the least", bands.join(", "))
        }
    };
    let degraded = strategy.degraded.as_ref().map_or(String::new(), |action| format!("; with an error at least {action}"));
    format!("{how}{degraded}  ({})", strategy.actions.join(" < "))
}
