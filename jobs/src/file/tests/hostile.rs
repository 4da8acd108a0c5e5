//! Malicious and meaningless texts are refused, and never cause a panic.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{job, messages, with_stream};
use crate::file::{Override, duration_text, parse, parse_duration, parse_size};

#[test]
fn deep_nesting_is_refused() {
    for (open, inner) in [("[", "1"), ("{a: ", "1"), ("[{a: ", "")] {
        let text = format!("name: {}{inner}", open.repeat(50_000));
        let found = messages(&text);
        assert!(matches!(found.as_slice(), [one] if one.ends_with("nested deeper than 64 levels")), "{found:?}");
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let copies = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{copies}]\n"));
    }
    let found = messages(&text);
    assert!(matches!(found.as_slice(), [one] if one.contains("more than 20000 values are repeated")), "{found:?}");

    let mut text = String::from("a0: &a0 [x]\n");
    (1..100).for_each(|level| text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1)));
    assert!(messages(&text)[0].ends_with("nested deeper than 64 levels"));
    assert_eq!(messages("a: &a [*a]"), ["error: job.yaml:1:8: an alias inside of what it names"]);
}

#[test]
fn large_files_are_checked_as_a_whole() {
    let streams: String = (0..4_000).map(|at| format!("  s{at}: {{ from: t{at} }}\n")).collect();
    assert_eq!(messages(&format!("name: t\nsources: {{ in: {{ connector: stdin }} }}\nstreams:\n{streams}sinks: {{}}\n")).len(), 8_002);
    let chain: String = (1..4_000).map(|at| format!("  s{at}: {{ from: s{} }}\n", at - 1)).collect();
    let text = format!(
        "name: t\nsources: {{ s0: {{ connector: stdin }} }}\nstreams:\n{chain}sinks: {{ o: {{ from: s3999, connector: stdout }} }}\n"
    );
    assert_eq!(job(&text).streams_in_order().len(), 3_999);
    assert!(format!("a{}=1", ".a".repeat(100_000)).parse::<Override>().is_err());
}

#[test]
fn aliases_are_copies() {
    let text = "name: t
sources:
  a: &a { connector: stdin }
  b: *a
sinks: { out: { from: [a, b], connector: stdout } }
";
    assert_eq!(job(text).sources.len(), 2);
}

#[test]
fn durations_and_sizes() {
    let nanos = |text: &str| parse_duration(text).map(|span| span.as_nanos());
    for (text, expected) in [
        ("250us", 250_000),
        ("500ms", 500_000_000),
        ("1h30m", 5_400_000_000_000),
        ("-5m", -300_000_000_000),
        ("1.5s", 1_500_000_000),
        ("0", 0),
    ] {
        assert_eq!(nanos(text), Some(expected), "{text}");
    }
    for text in ["", "-", "5", "5x", "s", "5 s", "--5s", "99999999999d", "106752d", "5sé", "é"] {
        assert_eq!(nanos(text), None, "{text}");
    }
    assert_eq!(parse_size("2GB"), Some(2_000_000_000));
    assert_eq!(parse_size("64 KiB"), Some(65_536));
    assert_eq!(parse_size("7"), Some(7));
    for text in ["", "KiB", "-1", "1.5GiB", "5XB", "99999999999999999999", "99999999TiB"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
}

/// Pieces of job files, so that random texts get past the first line.
fn piece() -> impl Strategy<Value = String> {
    let words = "name sources streams sinks from key window aggregate where select flat_map tumbling session every trigger purging evictor \
                 connector file stdin generator fields uniform time step format csv regex schema event_time field path late_to stdout text \
                 1 -5 5s 1h30m a b in { } [ ] : , - | > ' \" & * ! # % @ &a *a ? --- ... \\";
    let words: Vec<String> =
        words.split(' ').map(str::to_owned).chain(["\n".into(), "\n  ".into(), "\n    ".into(), ": ".into()]).collect();
    prop_oneof![8 => prop::sample::select(words), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        let _ = parse("job.yaml", &text, &[]).1.to_string();
        let _ = parse("job.yaml", &with_stream(&text), &[]).1.to_string();
        let _ = text.parse::<Override>();
    }

    #[test]
    fn any_pieces_are_taken(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        let _ = parse("job.yaml", &text, &[]).1.to_string();
        let _ = parse("job.yaml", &with_stream(&text), &[]).1.to_string();
        let spaced = pieces.join(" ");
        let _ = parse("job.yaml", &format!("name: t\nsources:\n  in: {{ {spaced} }}\n"), &[]).1.to_string();
        if let Ok(set) = format!("streams.s.{spaced}").parse::<Override>() {
            let _ = parse("job.yaml", &with_stream("where: x"), &[set]).1.to_string();
        }
    }

    #[test]
    fn durations_round_trip(micros in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
        let span = SignedDuration::from_micros(micros);
        prop_assert_eq!(parse_duration(&duration_text(span)), Some(span));
    }

    #[test]
    fn every_place_in_an_expression_can_be_told(expression in "[ -~äß\n]{1,30}", from in 0..40usize, length in 0..10usize) {
        let quoted = serde_json::to_string(&expression).unwrap();
        let (job, problems) = parse("job.yaml", &with_stream(&format!("where: {quoted}")), &[]);
        if let Some(job) = job.filter(|_| !problems.has_errors()) {
            let filter = job.streams[0].each.filter.as_ref().unwrap();
            prop_assert_eq!(&filter.value, &expression);
            let _ = filter.problem_at(from..from + length, "x").to_string();
        }
    }
}
