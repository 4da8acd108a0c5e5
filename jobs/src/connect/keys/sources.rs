//! The keys of sources, their formats and their event time.

use crate::yaml::{Table, key};

pub(crate) static SOURCE: Table = Table {
    name: "source",
    title: "A source",
    keys: &[
        key("connector", "file | stdin | kafka | generator", "", "where the records come from"),
        key(
            "event_time",
            "mapping | ingestion",
            "none",
            "which field is the record's time and how watermarks follow from it; ingestion: the time at which it enters",
        ),
        key("uid", "name", "its own name", "the name its state is kept under in savepoints: it stays when the source is renamed"),
    ],
};

pub(crate) static SOURCE_FILE: Table = Table {
    name: "source.file",
    title: "A source with `connector: file`",
    keys: &[key("path", "path", "", "a file, a glob or a directory")],
};

pub(crate) static SOURCE_TEXT: Table = Table {
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

pub(crate) static SOURCE_KAFKA: Table = Table {
    name: "source.kafka",
    title: "A source with `connector: kafka`",
    keys: &[
        key("brokers", "host:port | [host:port, ...]", "", "where the cluster is; one broker of it will do"),
        key(
            "topic",
            "name | [name, ...] | { pattern: pattern }",
            "",
            "what is read; internal topics (`__...`) only by name or by a pattern that begins so",
        ),
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

pub(crate) static TOPIC: Table = Table {
    name: "topic",
    title: "topic, for several",
    keys: &[key("pattern", "pattern", "", "all topics whose whole name matches, also those made later")],
};

pub(crate) static FORMAT: Table = Table {
    name: "format",
    title: "format of a source (one of)",
    keys: &[
        key("regex", "pattern", "none", "named groups become fields: (?P<user>[^ ]+)"),
        key("avro", "mapping", "none", "messages of Kafka in Avro"),
    ],
};

pub(crate) static FIELD: Table = Table {
    name: "field",
    title: "A time as text, in `schema`",
    keys: &[
        key("format", "time format", "", "as of strftime: %Y-%m-%d %H:%M:%S"),
        key("year", "whole number", "none", "the year, for a format without one"),
        key("zone", "time zone", "UTC", "the zone, for a format without one"),
    ],
};

pub(crate) static EVENT_TIME: Table = Table {
    name: "event_time",
    title: "event_time with a field",
    keys: &[
        key("field", "field", "", "the field with the record's time"),
        key("unit", "s | ms | us | ns", "ms", "the unit of a field of type int"),
        key("max_delay", "duration", "0s", "how far records may be out of order"),
        key("idle_after", "duration", "none", "the silence after which the source holds nobody back"),
        key("max_drift", "duration", "none", "how far the source may run ahead of the slowest one"),
        key(
            "watermark",
            "every_batch | every_record",
            "every_batch",
            "when the watermark moves: once per batch of up to 1,024 records, or with every record",
        ),
        key("watermark_field", "field", "none", "a record with only this field sets the watermark"),
    ],
};
