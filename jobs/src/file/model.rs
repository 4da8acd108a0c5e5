//! The model of a job file: names resolved, values in range, expressions still text with locations.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;
use tidegate_runtime::{Backend, Mode};

use super::keys;
use super::streams::{self, Stream};
use crate::connect::{Sink, Source, Table, sinks, sources, tables};
use crate::stage::{FactorText, ListSpec, Shared, read_list};
use crate::text::{Span, Spanned};
use crate::yaml as values;
use crate::yaml::{Broken, Reader};
use crate::yaml::{Node, Value};

/// A checked job file.
#[derive(Clone, Debug)]
pub struct JobFile {
    /// The job's name.
    pub name: Spanned<String>,
    /// The number of workers, if given.
    pub parallelism: Option<Spanned<u64>>,
    /// Where state is kept.
    pub state: State,
    /// When and where checkpoints are taken, if they are.
    pub checkpoints: Option<Checkpoints>,
    /// What happens when the job fails, if given.
    pub restart: Option<Restart>,
    /// The sources, in the order of the file.
    pub sources: Vec<Source>,
    /// The tables, in the order of the file.
    pub tables: Vec<Table>,
    /// The factors, in the order of the file: signatures and expressions.
    pub factors: Vec<(Spanned<String>, Spanned<String>)>,
    /// The lists, in the order of the file.
    pub lists: Vec<ListSpec>,
    /// The streams, in the order of the file.
    pub streams: Vec<Stream>,
    /// The sinks, in the order of the file.
    pub sinks: Vec<Sink>,
    /// The parts that are known to have errors.
    broken: Broken,
}

impl JobFile {
    /// The source with this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name.value == name)
    }

    /// The stream with this name, not counting side outputs such as those of `late_to`.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.head.name.value == name)
    }

    /// The directory in which the job keeps its state.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        PathBuf::from(self.state.dir.as_ref().map_or("./state", |dir| &dir.value)).join(&self.name.value)
    }

    /// Whether no error of this part is known.
    pub(crate) fn is_sound(&self, section: Section, name: &Spanned<String>) -> bool {
        !self.broken.has(section.key(), &name.value)
    }

    /// The streams in an order in which each comes after what it reads.
    #[must_use]
    pub fn streams_in_order(&self) -> Vec<&Stream> {
        super::graph::in_order(&self.streams)
    }
}

/// The sections of a job that consist of named parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Sources,
    Tables,
    Lists,
    Streams,
    Sinks,
}

impl Section {
    pub(crate) const ALL: [Self; 5] = [Self::Sources, Self::Tables, Self::Lists, Self::Streams, Self::Sinks];

    /// The key of the section.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Tables => "tables",
            Self::Lists => "lists",
            Self::Streams => "streams",
            Self::Sinks => "sinks",
        }
    }

    /// What a part of the section is called.
    pub(crate) const fn part(self) -> &'static str {
        match self {
            Self::Sources => "source",
            Self::Tables => "table",
            Self::Lists => "list",
            Self::Streams => "stream",
            Self::Sinks => "sink",
        }
    }
}

/// `state`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The backend that holds it.
    pub backend: Backend,
    /// The directory of the backend on disk.
    pub dir: Option<Spanned<String>>,
    /// The memory it may use, in bytes.
    pub memory: Option<Spanned<u64>>,
    /// How long the state of an idle key is kept, or `None` for ever.
    pub ttl: Option<Spanned<SignedDuration>>,
}

/// `checkpoints`.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoints {
    /// The interval from one to the next; 10 s unless given.
    pub every: SignedDuration,
    /// A directory or an object-store URL.
    pub dir: Option<Spanned<String>>,
    /// Whether state reflects each record exactly once or at least once.
    pub mode: Mode,
    /// How many are kept; 3 unless given.
    pub keep: u64,
}

/// `restart`.
#[derive(Clone, Debug, PartialEq)]
pub struct Restart {
    /// How often the job is restarted; 10 unless given.
    pub attempts: u64,
    /// The wait before the first restart; 1 s unless given.
    pub delay: SignedDuration,
    /// The longest wait; 1 m unless given.
    pub max_delay: SignedDuration,
}

/// Reads the whole file as far as possible. `None` if it is not a mapping.
pub(crate) fn read(reader: &mut Reader, root: &Node) -> Option<JobFile> {
    let fields = reader.fields(root, &first_key(root), &[&keys::JOB], "the job")?;
    let name = reader.required(&fields, "name").and_then(|node| {
        let name = reader.text(node, "a name")?;
        if name.value.len() > values::MAX_JOB_NAME {
            let message = format!(
                "the name has {} characters, and directories are called by it: at most {} will do",
                name.value.chars().count(),
                values::MAX_JOB_NAME
            );
            return reader.fail(&name.span, message);
        }
        if values::is_job_name(&name.value) {
            return Some(name);
        }
        reader.fail(&name.span, format!("`{}` cannot name a job: small letters, digits and `-` can", name.value))
    });
    let parallelism = fields.get("parallelism").and_then(|node| reader.count(node, 1, 1024));
    let state = fields.get("state").and_then(|node| read_state(reader, node, fields.key("state")?)).unwrap_or_default();
    let checkpoints = fields.get("checkpoints").and_then(|node| read_checkpoints(reader, node, fields.key("checkpoints")?));
    let restart = fields.get("restart").and_then(|node| read_restart(reader, node, fields.key("restart")?));

    let sources =
        reader.required(&fields, "sources").map_or_else(Vec::new, |node| read_named(reader, node, Section::Sources, sources::read));
    let tables = fields.get("tables").map_or_else(Vec::new, |node| read_named(reader, node, Section::Tables, tables::read));
    let lists = fields.get("lists").map_or_else(Vec::new, |node| read_named(reader, node, Section::Lists, read_list));
    let factors = fields.get("factors").map_or_else(Vec::new, |node| read_factors(reader, node));
    let shared = Shared { factors: Arc::new(factors.clone()), lists: lists.iter().cloned().collect() };
    let read_stream = |reader: &mut Reader, name: Spanned<String>, node: &Node| streams::read(reader, name, node, &shared);
    let streams = fields.get("streams").map_or_else(Vec::new, |node| read_named(reader, node, Section::Streams, read_stream));
    let sinks = reader.required(&fields, "sinks").map_or_else(Vec::new, |node| read_named(reader, node, Section::Sinks, sinks::read));
    for section in [Section::Sources, Section::Sinks] {
        if let Some(node) = fields.get(section.key())
            && matches!(&node.value, Value::Map(entries) if entries.is_empty())
        {
            reader.push(node.span.problem(format!("a job needs at least one {}", section.part())));
        }
    }
    // Even without a valid name, the rest of the job is worth checking.
    let name = name.unwrap_or_else(|| Spanned::new(String::new(), first_key(root)));
    Some(JobFile {
        name,
        parallelism,
        state,
        checkpoints,
        restart,
        sources,
        tables,
        factors,
        lists,
        streams,
        sinks,
        broken: reader.broken().clone(),
    })
}

/// Where to point when the file as a whole lacks something.
fn first_key(root: &Node) -> Span {
    match &root.value {
        Value::Map(entries) => entries.first().map_or_else(|| root.span.clone(), |entry| entry.key.span.clone()),
        _ => root.span.clone(),
    }
}

/// Reads the named parts of a section. Parts that can't be read are left out, though others may name them; names are checked on the tree.
fn read_named<T>(
    reader: &mut Reader,
    node: &Node,
    section: Section,
    read: impl Fn(&mut Reader, Spanned<String>, &Node) -> Option<T>,
) -> Vec<T> {
    let entries = reader.entries(node, &format!("a mapping from names to {}s", section.part())).unwrap_or_default();
    let mut parts = Vec::new();
    for entry in entries {
        let part = reader.within(section.key(), &entry.key.value, |reader| {
            let valid = reader.checked_name(entry.key.clone()).is_some();
            read(reader, entry.key.clone(), &entry.value).filter(|_| valid)
        });
        parts.extend(part);
    }
    parts
}

/// Reads factors: signatures with expressions.
fn read_factors(reader: &mut Reader, node: &Node) -> Vec<FactorText> {
    let entries = reader.entries(node, "a mapping from factors such as `over(x)` to expressions").unwrap_or_default();
    entries.iter().filter_map(|entry| Some((entry.key.clone(), reader.text(&entry.value, "an expression")?))).collect()
}

fn read_state(reader: &mut Reader, node: &Node, at: &Span) -> Option<State> {
    let fields = reader.fields(node, at, &[&keys::STATE], "`state`")?;
    let backends = [("memory", Backend::Memory), ("rocksdb", Backend::RocksDb)];
    let backend = fields.get("backend").and_then(|node| reader.word(node, "state.backend", &backends));
    let ttl = fields.get("ttl").and_then(|node| reader.optional_span(node));
    if let Some(ttl) = ttl.as_ref().filter(|ttl| !ttl.value.is_positive()) {
        reader.push(ttl.problem("a `ttl` is longer than nothing; `none` keeps state for ever"));
    }
    Some(State {
        backend: backend.map(|backend| backend.value).unwrap_or_default(),
        dir: fields.get("dir").and_then(|node| reader.text(node, "a path")),
        memory: fields.get("memory").and_then(|node| reader.size(node)),
        ttl,
    })
}

fn read_checkpoints(reader: &mut Reader, node: &Node, at: &Span) -> Option<Checkpoints> {
    let fields = reader.fields(node, at, &[&keys::CHECKPOINTS], "`checkpoints`")?;
    let modes = [("exactly_once", Mode::ExactlyOnce), ("at_least_once", Mode::AtLeastOnce)];
    let every = fields.get("every").and_then(|node| reader.positive(node));
    let mode = fields.get("mode").and_then(|node| reader.word(node, "checkpoints.mode", &modes));
    let keep = fields.get("keep").and_then(|node| reader.count(node, 1, u64::MAX));
    Some(Checkpoints {
        every: every.map_or(SignedDuration::from_secs(10), |every| every.value),
        dir: fields.get("dir").and_then(|node| reader.text(node, "a path or a URL")),
        mode: mode.map(|mode| mode.value).unwrap_or_default(),
        keep: keep.map_or(3, |keep| keep.value),
    })
}

fn read_restart(reader: &mut Reader, node: &Node, at: &Span) -> Option<Restart> {
    let fields = reader.fields(node, at, &[&keys::RESTART], "`restart`")?;
    let attempts = fields.get("attempts").and_then(|node| reader.count(node, 0, u64::MAX));
    let delay = fields.get("delay").and_then(|node| reader.span(node));
    let max_delay = fields.get("max_delay").and_then(|node| reader.span(node));
    let read = Restart {
        attempts: attempts.map_or(10, |attempts| attempts.value),
        delay: delay.as_ref().map_or(SignedDuration::from_secs(1), |delay| delay.value),
        max_delay: max_delay.as_ref().map_or(SignedDuration::from_secs(60), |delay| delay.value),
    };
    if let Some(place) = max_delay.or(delay).filter(|_| read.max_delay < read.delay) {
        reader.push(place.problem("`max_delay` is shorter than `delay`"));
    }
    Some(read)
}
