//! Every key a job file may have, by the mapping it stands in. The check for unknown keys and the printed reference both come from here.

mod avro;
mod tables;

use std::fmt::Write as _;

pub(super) use avro::{AVRO, AVRO_SINK, SINK_FORMAT};
pub(super) use tables::{CACHE, LOOKUP, TABLE, TABLE_FILE, TABLE_HTTP};

/// One key: its name, the type of its value, its default (empty if it must be given) and what it does.
pub(super) struct Key {
    pub(super) name: &'static str,
    ty: &'static str,
    default: &'static str,
    about: &'static str,
}

/// The keys of one kind of mapping.
pub(super) struct Table {
    pub(super) name: &'static str,
    title: &'static str,
    pub(super) keys: &'static [Key],
}

const fn key(name: &'static str, ty: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, ty, default, about }
}

pub(super) static JOB: Table = Table {
    name: "job",
    title: "The job",
    keys: &[
        key("name", "name", "", "names the job: [a-z0-9-]+"),
        key("parallelism", "count", "the cores", "workers; `-p` overrides it"),
        key("state", "mapping", "none", "where keyed state lives"),
        key("checkpoints", "mapping", "none", "how often and where the job is made durable"),
        key("restart", "mapping", "none", "what happens when the job fails"),
        key("sources", "mapping", "", "where records come from, by name"),
        key("tables", "mapping", "none", "what streams look records up in, by name"),
        key("streams", "mapping", "none", "the operators, by name, in any order"),
        key("sinks", "mapping", "", "where records go, by name"),
    ],
};

pub(super) static STATE: Table = Table {
    name: "state",
    title: "state",
    keys: &[
        key("backend", "rocksdb | memory", "rocksdb", "what holds the state: memory alone, or RocksDB for what does not fit"),
        key("dir", "path", "./state", "where state goes that does not fit into memory; each job has a directory of its own in there"),
        key("memory", "size", "512MiB", "the memory of `rocksdb`: half for values, half for its blocks and write buffers"),
        key("ttl", "duration | none", "none", "how long a running aggregate (one without a window) keeps a key that is not written"),
    ],
};

pub(super) static CHECKPOINTS: Table = Table {
    name: "checkpoints",
    title: "checkpoints",
    keys: &[
        key("every", "duration", "10s", "the interval between two"),
        key("dir", "path or URL", "./checkpoints", "where they are kept"),
        key(
            "mode",
            "exactly_once | at_least_once",
            "exactly_once",
            "whether records behind a barrier wait for it, and sinks hold back what is not part of a checkpoint",
        ),
        key("keep", "count", "3", "how many completed ones are kept"),
    ],
};

pub(super) static RESTART: Table = Table {
    name: "restart",
    title: "restart",
    keys: &[
        key("attempts", "count", "10", "how often the job is started again"),
        key("delay", "duration", "1s", "the wait before the first attempt, doubled for each further one"),
        key("max_delay", "duration", "1m", "the longest wait"),
    ],
};

pub(super) static SOURCE: Table = Table {
    name: "source",
    title: "A source",
    keys: &[
        key("connector", "file | stdin | kafka | generator", "", "where the records come from"),
        key("event_time", "mapping", "none", "which field is the record's time and how watermarks follow from it"),
    ],
};

pub(super) static SOURCE_FILE: Table = Table {
    name: "source.file",
    title: "A source with `connector: file`",
    keys: &[key("path", "path", "", "a file, a glob or a directory")],
};

pub(super) static SOURCE_TEXT: Table = Table {
    name: "source.text",
    title: "A source with `connector: file`, `stdin` or `kafka`",
    keys: &[
        key(
            "format",
            "json | csv | text | { regex: pattern } | { avro: mapping }",
            "csv for a path in .csv, else json",
            "how a record is read from a line, or from the value of a message",
        ),
        key("header", "bool", "true", "csv from files and standard input: whether the first line names the fields"),
        key("delimiter", "character", "`,`", "csv: what stands between fields"),
        key("schema", "mapping", "none", "the fields, in order: a type or a time format each"),
        key("on_bad_record", "skip | fail", "skip", "what happens to a line or message that is no record"),
        key(
            "dead_letter",
            "name",
            "none",
            "names a stream of the skipped lines: { source, line, text, error }; of a message, `line` is its offset",
        ),
    ],
};

pub(super) static SOURCE_KAFKA: Table = Table {
    name: "source.kafka",
    title: "A source with `connector: kafka`",
    keys: &[
        key("brokers", "host:port | [host:port, ...]", "", "where the cluster is; one broker of it will do"),
        key("topic", "name | [name, ...] | { pattern: pattern }", "", "what is read"),
        key(
            "start",
            "earliest | latest | committed | timestamp | { partition: offset }",
            "earliest",
            "where reading begins, unless a checkpoint says so",
        ),
        key(
            "stop",
            "latest | timestamp | { partition: offset }",
            "none",
            "where reading ends: at the latest at what is the end when the job starts",
        ),
        key("group", "name", "none", "offsets are committed for it when a checkpoint is complete"),
        key(
            "isolation",
            "read_committed | read_uncommitted",
            "read_committed",
            "whether records of open and aborted transactions are left out",
        ),
        key("metadata", "mapping", "none", "fields for what a message carries beside its value: `name: part`, see below"),
        key("discover", "duration | none", "30s", "how often new partitions are looked for"),
        key("options", "mapping", "none", "properties of librdkafka, such as `security.protocol: sasl_ssl`"),
    ],
};

pub(super) static TOPIC: Table = Table {
    name: "topic",
    title: "topic, for several",
    keys: &[key("pattern", "pattern", "", "all topics whose whole name matches, also those made later")],
};

pub(super) static SOURCE_GENERATOR: Table = Table {
    name: "source.generator",
    title: "A source with `connector: generator`",
    keys: &[
        key("rate", "number", "as fast as possible", "records per second"),
        key("count", "count", "without end", "how many records"),
        key("seed", "whole number", "1", "the same seed gives the same records"),
        key("fields", "mapping", "", "the fields, in order: a distribution each"),
    ],
};

pub(super) static FORMAT: Table = Table {
    name: "format",
    title: "format of a source (one of)",
    keys: &[
        key("regex", "pattern", "none", "named groups become fields: (?P<user>[^ ]+)"),
        key("avro", "mapping", "none", "messages of Kafka in Avro"),
    ],
};

pub(super) static FIELD: Table = Table {
    name: "field",
    title: "A time as text, in `schema`",
    keys: &[
        key("format", "time format", "", "as of strftime: %Y-%m-%d %H:%M:%S"),
        key("year", "whole number", "none", "the year, for a format without one"),
        key("zone", "time zone", "UTC", "the zone, for a format without one"),
    ],
};

pub(super) static EVENT_TIME: Table = Table {
    name: "event_time",
    title: "event_time",
    keys: &[
        key("field", "field", "", "the field with the record's time"),
        key("unit", "s | ms | us | ns", "ms", "the unit of a field of type int"),
        key("max_delay", "duration", "0s", "how far records may be out of order"),
        key("idle_after", "duration", "none", "the silence after which the source holds nobody back"),
        key("max_drift", "duration", "none", "how far the source may run ahead of the slowest one"),
        key("watermark_field", "field", "none", "a record with only this field sets the watermark"),
    ],
};

pub(super) static DISTRIBUTION: Table = Table {
    name: "distribution",
    title: "A field of a generator (one of)",
    keys: &[
        key("uniform", "[low, high]", "none", "whole numbers including both ends, or any number below high"),
        key("normal", "[mean, deviation]", "none", "numbers around a mean"),
        key("choice", "list", "none", "one of the values, all equally likely"),
        key("weighted", "mapping", "none", "one of the keys, as likely as its weight says"),
        key("zipf", "[n, exponent]", "none", "1 to n, small numbers far more often"),
        key("cycle", "list", "none", "the values in turn"),
        key("sequence", "[start, step]", "none", "numbers in even steps"),
        key("constant", "value", "none", "always the same value"),
        key("time", "mapping", "none", "timestamps in even steps"),
    ],
};

pub(super) static TIME: Table = Table {
    name: "time",
    title: "A `time` of a generator",
    keys: &[
        key("start", "timestamp | now", "now", "the time of the first record"),
        key("step", "duration", "", "from one record to the next"),
        key("jitter", "duration", "0s", "each time is moved back by up to this much, so that records come out of order"),
    ],
};

pub(super) static STREAM: Table = Table {
    name: "stream",
    title: "A stream",
    keys: &[
        key("from", "name | [name, ...]", "", "what it reads; a list is the union"),
        key(
            "key",
            "name | [name, ...] | expression",
            "the whole stream",
            "what `aggregate`, `pattern`, `dedupe` and `top` group by, and `join` pairs by",
        ),
        key("window", "mapping", "none", "the windows `aggregate` or `top` is over; without it one output per record"),
        key("aggregate", "mapping", "none", "new fields: name: count(), or { value: sum(x), where: y > 3 }"),
        key(
            "where",
            "expression",
            "none",
            "drops records for which it is not true; applies to the output of `aggregate`, `pattern` and `join`",
        ),
        key("select", "mapping", "none", "the output's fields: name: expression; `\"*\": true` keeps all"),
        key(
            "flat_map",
            "expression | { name: expression }",
            "none",
            "one record per element of a list, added as field `value` or as `name`",
        ),
        key("on_error", "skip | fail", "skip", "what an error in an expression does at run time"),
        key("late_to", "name", "none", "names a stream of the records too late for their window, `pattern` or `join`"),
        key("timeouts_to", "name", "none", "names a stream of the partial matches of `pattern` that ran out of time"),
        key("pattern", "mapping", "none", "what to look for in the events of each key; instead of `aggregate`"),
        key("join", "mapping", "none", "pairs its records with those of another stream; instead of `aggregate`"),
        key("lookup", "mapping", "none", "adds the fields of a row that a table has for each record; instead of `aggregate`"),
        key("dedupe", "mapping", "none", "lets one record of each key through within a span of time; instead of `aggregate`"),
        key("top", "mapping", "none", "the greatest records of each key, in all or per `window`; instead of `aggregate`"),
        key("indicators", "mapping", "none", "features over trailing spans"),
        key("rules", "mapping", "none", "scenarios and rules"),
    ],
};

pub(super) static AGGREGATE: Table = Table {
    name: "aggregate",
    title: "An aggregate in long form",
    keys: &[
        key("value", "aggregate", "", "such as count() or sum(amount)"),
        key("where", "expression", "none", "which records it is over"),
    ],
};

pub(super) static WINDOW: Table = Table {
    name: "window",
    title: "window (one of tumbling, sliding, cumulative, session, count, global)",
    keys: &[
        key("tumbling", "duration", "none", "windows of this size, end to end"),
        key("sliding", "duration", "none", "windows of this size, one beginning at every `every`"),
        key("cumulative", "duration", "none", "windows that begin together every so often and grow by `every` up to this size"),
        key(
            "session",
            "duration | expression",
            "none",
            "windows ended by a gap of this length; an expression gives a duration or milliseconds",
        ),
        key("count", "count", "none", "windows of this many records of a key; fires when one is full"),
        key("global", "true", "none", "one window over everything; needs a `trigger`"),
        key("every", "duration | count", "the count", "how far apart sliding windows (or counts) begin; how cumulative ones grow"),
        key("offset", "duration", "0s", "moves the beginnings of tumbling, sliding and cumulative windows"),
        key("time", "event | processing", "event", "the clock that puts records into windows and ends these"),
        key("allowed_lateness", "duration", "0s", "how long a window that fired takes late records"),
        key("trigger", "trigger", "the end of the window", "when a window fires"),
        key("evictor", "mapping", "none", "which records a window drops when it fires; it keeps all of them until then"),
    ],
};

pub(super) static TRIGGER: Table = Table {
    name: "trigger",
    title: "trigger (event_time, processing_time, or one of)",
    keys: &[
        key("count", "count", "none", "at every so many records"),
        key("every", "duration", "none", "at every interval of the window's clock, and at its end"),
        key(
            "delta",
            "expression",
            "none",
            "at a record whose value is more than `threshold` away from that of the record it last fired at",
        ),
        key("threshold", "number", "none", "of `delta`"),
        key("purging", "trigger", "none", "as the inner trigger, and the window is emptied"),
    ],
};

pub(super) static EVICTOR: Table = Table {
    name: "evictor",
    title: "evictor (one of)",
    keys: &[
        key("count", "count", "none", "keeps the last so many records"),
        key("time", "duration", "none", "keeps the records that are less than this older than the newest"),
        key("delta", "expression", "none", "drops the records whose value is `threshold` or more away from that of the last"),
        key("threshold", "number", "none", "of `delta`"),
        key("after", "bool", "false", "whether it drops them after the window has fired"),
    ],
};

pub(super) static JOIN: Table = Table {
    name: "join",
    title: "join",
    keys: &[
        key("with", "name", "", "the other stream, the right side"),
        key(
            "on",
            "equality | [equality, ...]",
            "the stream's `key`",
            "what must be equal: `a.id == b.id`, a and b being this stream and the other, or their names",
        ),
        key(
            "within",
            "[duration, duration] | duration",
            "none",
            "how long after a record of the left one of the right may be; one duration: before or after",
        ),
        key("window", "mapping", "none", "pairs what is in the same window, instead"),
        key("temporal", "true", "none", "the right is a table: each record of the left with the version of its time, instead"),
        key("deleted", "expression", "none", "of `temporal`: a record of the right for which it is true ends a version and begins none"),
        key("type", "inner | left | right | full", "inner", "which side's records stay without a partner, with nulls for the other"),
    ],
};

pub(super) static DEDUPE: Table = Table {
    name: "dedupe",
    title: "dedupe",
    keys: &[
        key("keep", "first | last", "first", "the first at once, or the last when the time is over"),
        key("ttl", "duration", "", "how long after a key's first record its others count as the same, in event time"),
    ],
};

pub(super) static TOP: Table = Table {
    name: "top",
    title: "top",
    keys: &[key("n", "count", "", "how many"), key("by", "expression", "", "the greatest by this; of equal ones those that came first")],
};

pub(super) static PATTERN: Table = Table {
    name: "pattern",
    title: "pattern",
    keys: &[
        key("steps", "[step, ...]", "", "what is looked for, in order"),
        key("within", "duration", "none", "a match is shorter than this, from its first event to its last"),
        key(
            "after_match",
            "no_skip | skip_to_next | skip_past_last_event | { skip_to_first: step } | { skip_to_last: step }",
            "no_skip",
            "which of the matches that overlap one are dropped",
        ),
        key("tie_break", "field", "order of arrival", "orders events of one time"),
        key("time", "event | processing", "event", "processing: events are taken as they come, at the time of the wall clock"),
        key("limit", "mapping", "100,000, then fail", "how many partial matches a key may have open"),
    ],
};

pub(super) static LIMIT: Table = Table {
    name: "limit",
    title: "limit",
    keys: &[
        key("matches", "count", "", "how many partial matches a key may have open"),
        key("overflow", "fail | drop_oldest | drop_newest", "fail", "what happens to those beyond; what is dropped is counted"),
    ],
};

pub(super) static STEP: Table = Table {
    name: "step",
    title: "A step of a pattern, or a group of steps",
    keys: &[
        key("name", "text", "", "what its events are listed under; a group or `any_of` needs none"),
        key("where", "expression", "any event", "which events fit; the name of a step is the list of its events so far"),
        key("any_of", "[{ name, where }, ...]", "none", "takes one of several kinds of event; instead of `name` and `where`"),
        key("group", "[step, ...]", "none", "makes it a group: a sequence of steps"),
        key("steps", "[step, ...]", "none", "the same as `group`"),
        key(
            "contiguity",
            "next | followed_by | followed_by_any | not_next | not_followed_by",
            "followed_by",
            "what may lie between the step before and this one",
        ),
        key("times", "count | mapping", "1", "how often it is taken"),
        key(
            "inner",
            "relaxed | consecutive | allow_combinations",
            "relaxed",
            "what may lie between the events of a step taken several times",
        ),
        key("optional", "bool", "false", "whether it may be left out"),
        key("greedy", "bool", "false", "whether a loop keeps events from the step after it"),
        key("until", "expression", "none", "an event that ends a loop without `max`; it is not taken"),
        key("within", "duration", "none", "how long after the event before it its event may come"),
    ],
};

pub(super) static ANY_OF: Table = Table {
    name: "any_of",
    title: "any_of",
    keys: &[
        key("name", "text", "", "what events of this kind are listed under"),
        key("where", "expression", "any event", "which events are of this kind; what fits several is of the first"),
    ],
};

pub(super) static TIMES: Table = Table {
    name: "times",
    title: "times",
    keys: &[
        key("min", "count", "", "at least; 0: it may be left out"),
        key("max", "count", "any number", "at most"),
        key("within", "duration", "none", "how long the wait for each event may last, from the one before"),
    ],
};

pub(super) static AFTER_MATCH: Table = Table {
    name: "after_match",
    title: "after_match (one of skip_to_first, skip_to_last)",
    keys: &[
        key("skip_to_first", "step", "none", "drops the matches that began before the first event of this step"),
        key("skip_to_last", "step", "none", "drops the matches that began before the last event of this step"),
        key("throw", "bool", "false", "whether the job fails where the step has no event, or the first one of the match"),
    ],
};

pub(super) static SINK: Table = Table {
    name: "sink",
    title: "A sink",
    keys: &[
        key("from", "name | [name, ...]", "", "what it writes"),
        key("connector", "stdout | file | kafka", "", "where records go"),
        key("format", "json | csv | text | { avro: mapping }", "json", "how a record is written; avro to Kafka only"),
        key("timestamps", "ms | iso", "ms", "how times are written"),
        key("header", "bool", "true", "csv: whether the first line names the fields"),
        key("delimiter", "character", "`,`", "csv: what stands between fields"),
        key("text", "field | template", "the only field", "text: one field, or text with {field}s in it"),
    ],
};

pub(super) static SINK_FILE: Table =
    Table { name: "sink.file", title: "A sink with `connector: file`", keys: &[key("path", "path", "", "the file or directory written")] };

pub(super) static SINK_KAFKA: Table = Table {
    name: "sink.kafka",
    title: "A sink with `connector: kafka`",
    keys: &[
        key("brokers", "host:port | [host:port, ...]", "", "where the cluster is; one broker of it will do"),
        key("topic", "name", "", "what is written"),
        key(
            "key",
            "field | template",
            "none",
            "the key of a message; those of a key are in one partition, the one that Java's producers choose",
        ),
        key("timestamp", "field", "when it is sent", "the time of a message"),
        key("headers", "mapping", "none", "the headers of a message: `name: field` or `name: template`"),
        key(
            "delivery",
            "at_least_once | exactly_once",
            "at_least_once",
            "exactly once takes `checkpoints`, and shows records when one is complete",
        ),
        key(
            "transactional_id",
            "text",
            "`job.sink`",
            "what the transactional ids of an exactly-once sink begin with: no other job may use it on this cluster",
        ),
        key("markers", "name", "`__tidegate_markers`", "the topic where an exactly-once sink keeps what it has written; made if need be"),
        key("options", "mapping", "none", "properties of librdkafka, such as `compression.type: zstd`"),
    ],
};

static ALL: [&Table; 40] = [
    &JOB,
    &STATE,
    &CHECKPOINTS,
    &RESTART,
    &SOURCE,
    &SOURCE_FILE,
    &SOURCE_TEXT,
    &SOURCE_KAFKA,
    &TOPIC,
    &SOURCE_GENERATOR,
    &FORMAT,
    &AVRO,
    &AVRO_SINK,
    &FIELD,
    &EVENT_TIME,
    &DISTRIBUTION,
    &TIME,
    &TABLE,
    &TABLE_FILE,
    &TABLE_HTTP,
    &CACHE,
    &STREAM,
    &AGGREGATE,
    &WINDOW,
    &TRIGGER,
    &EVICTOR,
    &JOIN,
    &LOOKUP,
    &DEDUPE,
    &TOP,
    &PATTERN,
    &LIMIT,
    &STEP,
    &ANY_OF,
    &TIMES,
    &AFTER_MATCH,
    &SINK,
    &SINK_FILE,
    &SINK_KAFKA,
    &SINK_FORMAT,
];

/// All keys of job files as Markdown: per mapping, the name, type, default and meaning of each key. Keys that are not in this version are
/// left out.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for table in ALL {
        let mut keys = table.keys.iter().filter(|key| super::not_yet::missing(table.name, key.name).is_none()).peekable();
        if keys.peek().is_none() {
            continue;
        }
        let _ = writeln!(text, "## {}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |", table.title);
        for key in keys {
            let bars = |cell: &str| cell.replace('|', "\\|");
            let default = if key.default.is_empty() { "required" } else { key.default };
            let _ = writeln!(text, "| `{}` | {} | {} | {} |", key.name, bars(key.ty), bars(default), bars(key.about));
        }
        text.push('\n');
    }
    text
}
