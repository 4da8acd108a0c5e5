//! The keys of the avro format.

use crate::yaml::{Table, key};

pub(crate) static SINK_FORMAT: Table =
    Table { name: "sink.format", title: "format of a sink", keys: &[key("avro", "mapping", "", "messages of Kafka in Avro")] };

pub(crate) static AVRO: Table = Table {
    name: "avro",
    title: "avro, in `format` of a source or a sink of Kafka",
    keys: &[
        key("registry", "URL", "none", "a schema registry, such as 'http://localhost:8081': messages begin with the id of their schema"),
        key("user", "text", "none", "who the registry is asked as, with `password`"),
        key("password", "text", "none", "of `user`; better given with `--set`"),
        key(
            "schema_file",
            "path",
            "none",
            "a file with a schema: without `registry` that of all messages, in a sink with one that of its records",
        ),
    ],
};

pub(crate) static AVRO_SINK: Table = Table {
    name: "avro.sink",
    title: "avro, in `format` of a sink",
    keys: &[
        key("subject", "text", "`topic-value`", "what the schema is registered under"),
        key("register", "bool", "true", "whether a schema that the subject does not have is registered; else the job fails"),
    ],
};
