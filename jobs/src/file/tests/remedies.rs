//! Common mistakes, and the remedies that the messages name.

use super::{job, messages, with_stream};
use crate::file::Shape;

fn wrong(keys: &str) -> Vec<String> {
    messages(&with_stream(keys))
}

#[test]
fn an_expression_that_a_comma_has_cut() {
    for (keys, whole) in [
        ("aggregate: { n: quantile(v, 0.99) }", "'quantile(v, 0.99)'"),
        ("aggregate: { n: count(), t: { value: top(v, 3), where: x } }", "'top(v, 3)'"),
        ("aggregate: { n: top(max(a, b, c), 3), m: count() }", "'top(max(a, b, c), 3)'"),
        ("select: { n: max(a, b), m: a }", "'max(a, b)'"),
        ("key: [a, max(b, c)], aggregate: { n: count() }", "'max(b, c)'"),
        ("top: { n: 3, by: max(a, b) }", "'max(a, b)'"),
    ] {
        let found = wrong(keys);
        assert_eq!(found.len(), 1, "{keys}: {found:?}");
        assert!(found[0].ends_with(&format!("the comma ends this value: put the expression in quotes, {whole}")), "{found:?}");
    }
    job(&with_stream("key: [a, 'max(b, c)'], aggregate: { n: 'quantile(v, 0.99)', ip: count() }"));
}

#[test]
fn an_offset_is_smaller_than_the_step() {
    let window = |window: &str| with_stream(&format!("window: {{ {window} }}, aggregate: {{ n: count() }}"));
    let spot = |text: &str| super::window(&job(&window(text)).streams[0]).shape.clone();
    assert!(matches!(spot("sliding: 3ms, every: 10ms, offset: 8ms"), Shape::Sliding { .. }));
    assert!(matches!(spot("sliding: 3ms, every: 10ms, offset: -9ms"), Shape::Sliding { .. }));
    for (text, step) in [
        ("tumbling: 10ms, offset: 10ms", "size of the windows, 10ms"),
        ("sliding: 10ms, every: 3ms, offset: -3ms", "step of the windows, 3ms"),
        ("cumulative: 10ms, every: 5ms, offset: 6ms", "step of the windows, 5ms"),
    ] {
        let found = messages(&window(text));
        assert!(found.len() == 1 && found[0].ends_with(&format!("the offset must be smaller than the {step}")), "{found:?}");
    }
}

#[test]
fn what_sessions_and_durations_can_not_be() {
    let delta = "aggregate: { n: count() }, window: { session: 10ms, trigger: { delta: v, threshold: 1 } }";
    let purging = "aggregate: { n: count() }, window: { session: gap, trigger: { purging: { delta: v, threshold: 1 } } }";
    for keys in [delta, purging] {
        let found = wrong(keys);
        assert!(found.len() == 1 && found[0].contains("`delta` does not go with `session`"), "{found:?}");
    }
    let found = wrong("aggregate: { n: count() }, window: { tumbling: 300000000d }");
    assert!(found[0].ends_with("the duration `300000000d` is too long: the longest is 106751d, 292 years"), "{found:?}");
}

/// A filter left empty would let everything through.
#[test]
fn a_condition_of_nothing() {
    for keys in ["where: null", "where:", "where: ~", "where: ''", "aggregate: { n: { value: count(), where: null } }"] {
        let found = wrong(keys);
        assert!(found.len() == 1 && found[0].contains("expected an expression, found "), "{keys}: {found:?}");
    }
}

#[test]
fn watermarks_come_from_the_data_or_from_a_delay() {
    let source = |time: &str| {
        format!(
            "name: t\nsources: {{ in: {{ connector: stdin, event_time: {{ {time} }} }} }}\nsinks: {{ out: {{ from: in, connector: stdout }} }}\n"
        )
    };
    job(&source("field: ts, watermark_field: w"));
    let found = messages(&source("field: ts, watermark_field: w, max_delay: 5s"));
    assert!(found.len() == 1 && found[0].contains("`max_delay` does not go with `watermark_field`"), "{found:?}");
    let found = messages(&source("field: ts, watermark_field: ts"));
    assert!(found.len() == 1 && found[0].contains("`ts` is the field of the records' times"), "{found:?}");
}

#[test]
fn a_type_that_is_none() {
    let wrong = |ty: &str| {
        messages(&format!(
            "name: t\nsources: {{ in: {{ connector: stdin, schema: {{ v: {ty} }} }} }}\nsinks: {{ out: {{ from: in, connector: stdout }} }}\n"
        ))
    };
    for (ty, meant) in [("integer", "int"), ("boolean", "bool"), ("strin", "string"), ("timestamp_millis", "timestamp_ms")] {
        let found = wrong(ty);
        assert!(found[0].ends_with(&format!("unknown type `{ty}`: did you mean `{meant}`?")), "{found:?}");
    }
    let found = wrong("varchar");
    assert!(
        found[0].contains("unknown type `varchar`: expected bool, int, double, decimal, string") && found[0].ends_with("or a time format"),
        "{found:?}"
    );
}
