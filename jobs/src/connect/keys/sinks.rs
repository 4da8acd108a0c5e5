//! The keys of sinks.

use crate::yaml::{Table, key};

pub(crate) static SINK: Table = Table {
    name: "sink",
    title: "A sink",
    keys: &[
        key("from", "name | [name, ...]", "", "what it writes"),
        key("connector", "stdout | file | kafka", "", "where records go"),
        key(
            "format",
            "json | csv | text | table | { avro: mapping }",
            "json; on a terminal table",
            "how a record is written; table to standard output, avro to Kafka only",
        ),
        key("timestamps", "ms | iso", "ms; of a table iso", "how times are written"),
        key("uid", "name", "its own name", "the name its state is kept under in savepoints: it stays when the sink is renamed"),
        key("header", "bool", "true", "csv: whether the first line names the fields"),
        key("delimiter", "character", "`,`", "csv: what stands between fields"),
        key("text", "field | template", "the only field", "text: one field, or text with {field}s in it"),
    ],
};

pub(crate) static SINK_FILE: Table =
    Table { name: "sink.file", title: "A sink with `connector: file`", keys: &[key("path", "path", "", "the file or directory written")] };

pub(crate) static SINK_KAFKA: Table = Table {
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
