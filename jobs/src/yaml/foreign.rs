//! Translates terms of other systems, for users who come from Flink, SQL or another stream processor.

use super::values::{duration_text, parse_duration};

/// Tables of keys, the normalized foreign key, and what to use here.
const KEYS: &[(&str, &[&str], &str)] = &[
    ("window", &["tumble", "fixed", "size"], "tumbling"),
    ("window", &["hop", "hopping"], "sliding: 10m, every: 1m"),
    ("window", &["slide", "step", "period", "advance"], "every"),
    ("window", &["over", "range", "rows"], "sliding: 10m, every: 1m"),
    ("window", &["cumulate"], "cumulative"),
    ("window", &["sessiongap", "gap", "inactivity"], "session"),
    ("window", &["lateness", "grace"], "allowed_lateness"),
    ("stream", &["groupby", "partitionby", "keyby", "by"], "key"),
    ("stream", &["filter", "having", "condition"], "where"),
    ("stream", &["aggregates", "aggregations", "agg"], "aggregate"),
    ("stream", &["over", "tumble", "hop", "slide", "windows"], "window"),
    ("stream", &["source", "input", "inputs"], "from"),
    ("stream", &["explode", "unnest", "unwind"], "flat_map"),
    ("stream", &["distinct", "deduplicate"], "dedupe"),
    ("stream", &["orderby", "limit", "rank"], "top"),
    ("stream", &["matchrecognize", "cep"], "pattern"),
    ("step", &["oneormore"], "times: { min: 1 }"),
    ("step", &["timesormore"], "times: { min: 2 }"),
    ("step", &["zeroormore"], "times: { min: 1 }, optional: true"),
    ("step", &["allowcombinations"], "inner: allow_combinations"),
    ("step", &["consecutive"], "inner: consecutive"),
    ("step", &["condition", "filter", "define"], "where"),
    ("step", &["begin", "id"], "name"),
    ("step", &["next", "followedby", "followedbyany", "notnext", "notfollowedby"], "contiguity"),
    ("pattern", &["aftermatchskip", "skip", "skipstrategy"], "after_match"),
    ("pattern", &["withintime", "window"], "within"),
    ("event_time", &["watermark", "outoforderness", "maxoutoforderness", "lateness", "delay"], "max_delay"),
    ("event_time", &["idleness", "withidleness"], "idle_after"),
];

/// Kinds of words, the normalized foreign word, and what to use here.
const WORDS: &[(&str, &str, &str)] = &[
    ("step.contiguity", "strict", "next"),
    ("step.contiguity", "relaxed", "followed_by"),
    ("step.contiguity", "nondeterministicrelaxed", "followed_by_any"),
    ("step.contiguity", "followedbyany", "followed_by_any"),
    ("step.contiguity", "followedby", "followed_by"),
    ("step.contiguity", "notfollowedby", "not_followed_by"),
    ("step.contiguity", "notnext", "not_next"),
    ("after_match", "noskip", "no_skip"),
    ("after_match", "skippastlastrow", "skip_past_last_event"),
    ("after_match", "skippastlastevent", "skip_past_last_event"),
    ("after_match", "skiptonext", "skip_to_next"),
    ("after_match", "skiptonextrow", "skip_to_next"),
];

/// Foreign aggregate functions, and what to use here.
const AGGREGATES: &[(&str, &str)] = &[
    ("cnt", "count"),
    ("mean", "avg"),
    ("average", "avg"),
    ("total", "sum"),
    ("std", "stddev"),
    ("stddevpop", "stddev"),
    ("stddevsamp", "stddev"),
    ("var", "variance"),
    ("varsamp", "variance"),
    ("uniq", "count_distinct"),
    ("distinctcount", "count_distinct"),
    ("approxcountdistinct", "count_distinct"),
    ("percentile", "quantile"),
    ("median", "quantile"),
    ("listagg", "collect"),
    ("arrayagg", "collect"),
    ("firstvalue", "first"),
    ("lastvalue", "last"),
    ("topn", "top"),
    ("topk", "top"),
];

/// Normalizes a word by dropping case, dashes and the like: `oneOrMore`, `one_or_more` and `ONE OR MORE` become one.
fn letters(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What to use here for an unknown key of a table.
pub(crate) fn key(table: &str, name: &str) -> Option<String> {
    let name = letters(name);
    let found = KEYS.iter().find(|(of, words, _)| *of == table && words.contains(&name.as_str()))?;
    Some(found.2.to_owned())
}

/// What to use here for an unknown value, among those that `table` lists.
pub(crate) fn word(table: &str, text: &str) -> Option<&'static str> {
    let text = letters(text);
    WORDS.iter().find(|(of, word, _)| *of == table && *word == text).map(|(_, _, ours)| *ours)
}

/// What to use here for an unknown aggregate.
pub(crate) fn aggregate(name: &str) -> Option<&'static str> {
    let name = letters(name);
    AGGREGATES.iter().find(|(word, _)| *word == name).map(|(_, ours)| *ours)
}

/// A duration in words or in ISO 8601, written as it is here: `15 min` and `PT15M` become `15m`.
pub(crate) fn duration(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let of_time = text.strip_prefix("pt").unwrap_or(&text);
    let mut ours = String::new();
    let mut rest = of_time.strip_prefix("interval").unwrap_or(of_time).trim();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_alphabetic() && c != 'µ').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        ours.push_str(number);
        ours.push_str(match unit {
            "ms" | "msec" | "msecs" | "millis" | "milli" | "millisecond" | "milliseconds" => "ms",
            "us" | "µs" | "micros" | "microsecond" | "microseconds" => "us",
            "s" | "sec" | "secs" | "second" | "seconds" => "s",
            "m" | "min" | "mins" | "minute" | "minutes" => "m",
            "h" | "hr" | "hrs" | "hour" | "hours" => "h",
            "d" | "day" | "days" => "d",
            _ => return None,
        });
        rest = after.trim_start_matches([' ', ',']);
    }
    parse_duration(&ours).filter(|_| !ours.is_empty()).map(duration_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_known_in_every_spelling() {
        for word in ["oneOrMore", "one_or_more", "ONE OR MORE"] {
            assert_eq!(key("step", word).as_deref(), Some("times: { min: 1 }"));
        }
        assert_eq!(key("window", "TUMBLE").as_deref(), Some("tumbling"));
        assert_eq!((key("sink", "tumble"), word("step.contiguity", "followedBy")), (None, Some("followed_by")));
    }

    #[test]
    fn durations_in_words_are_understood() {
        for (text, ours) in [
            ("15 min", Some("15m")),
            ("15minutes", Some("15m")),
            ("PT15M", Some("15m")),
            ("1 hour 30 minutes", Some("1h30m")),
            ("1 day", Some("1d")),
            ("500 millis", Some("500ms")),
            ("15", None),
            ("min", None),
            ("15 parsecs", None),
            ("", None),
        ] {
            assert_eq!(duration(text).as_deref(), ours, "{text}");
        }
    }
}
