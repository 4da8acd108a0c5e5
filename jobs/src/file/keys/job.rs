//! The keys of the job itself, its state, its checkpoints and its restarts.

use crate::yaml::{Table, key};

pub(crate) static JOB: Table = Table {
    name: "job",
    title: "The job",
    keys: &[
        key("name", "name", "", "names the job: [a-z0-9-]+"),
        key("parallelism", "count", "the cores", "workers; `-p` overrides it"),
        key("state", "mapping", "none", "where keyed state lives"),
        key("checkpoints", "mapping", "none", "how often and where checkpoints are taken"),
        key("restart", "mapping", "none", "what happens when the job fails"),
        key("sources", "mapping", "", "where records come from, by name"),
        key("tables", "mapping", "none", "what streams look records up in, by name"),
        key("factors", "mapping", "none", "conditions with parameters that all `rules` can call: `over(x): amount > x`"),
        key("lists", "mapping", "none", "black, white and other lists that `rules` look into, by name"),
        key("streams", "mapping", "none", "the operators, by name, in any order"),
        key("sinks", "mapping", "", "where records go, by name"),
    ],
};

pub(crate) static STATE: Table = Table {
    name: "state",
    title: "state",
    keys: &[
        key("backend", "rocksdb | memory", "rocksdb", "what holds the state: memory alone, or memory and RocksDB for what does not fit"),
        key("dir", "path", "./state", "the directory for state that does not fit into memory; each job has its own subdirectory"),
        key("memory", "size", "512MiB", "the memory of `rocksdb`: half for its blocks and write buffers, three eighths for values"),
        key("ttl", "duration | none", "none", "how long a running aggregate (one without a window) remembers a key after its last record"),
    ],
};

pub(crate) static CHECKPOINTS: Table = Table {
    name: "checkpoints",
    title: "checkpoints",
    keys: &[
        key("every", "duration", "10s", "the time from one checkpoint to the next"),
        key("dir", "path or URL", "./checkpoints", "where checkpoints are kept"),
        key(
            "mode",
            "exactly_once | at_least_once",
            "exactly_once",
            "whether records behind a barrier wait for it, and sinks hold back what is not part of a checkpoint",
        ),
        key("keep", "count", "3", "how many complete checkpoints are kept"),
    ],
};

pub(crate) static RESTART: Table = Table {
    name: "restart",
    title: "restart",
    keys: &[
        key(
            "attempts",
            "count",
            "10",
            "how many times in a row the job is restarted. A completed checkpoint resets the count. 0 if neither `restart` nor `checkpoints` is given",
        ),
        key("delay", "duration", "1s", "the wait before the first restart; it doubles with each further one"),
        key("max_delay", "duration", "1m", "the longest wait"),
    ],
};
