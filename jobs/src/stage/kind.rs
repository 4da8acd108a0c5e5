//! What a kind of stage is: the contract between a stage, the front ends that read it and the planner.

use std::sync::Arc;

use tidegate_rows::{Schema, Type};
use tidegate_runtime::Basis;

use super::build::Work;
use crate::connect::{Answers, Table as Relation};
use crate::relation::each::Each;
use crate::relation::failures::OnError;
use crate::relation::known::{Known, Order, Timing};
use crate::relation::open::{Asked, Origin};
use crate::relation::pipeline::{self, Base};
use crate::relation::union::Streams;
use crate::text::{Problem, Spanned};
use crate::yaml::{Key, Table};

use super::window::Window;

/// What the planner and the readers of job files must know of a kind of stage before they look into one.
pub(crate) struct Kind {
    /// The key of a stream that asks for it.
    pub(crate) key: Key,
    /// The keys of the mapping behind that, and of those in it.
    pub(crate) tables: &'static [&'static Table],
    /// Whether it groups records by the stream's `key`.
    pub(crate) keyed: bool,
    /// Whether it may be over the stream's `window`.
    pub(crate) windowed: bool,
    /// Whether it keeps state.
    pub(crate) stateful: bool,
    /// When it has late records.
    pub(crate) late: Late,
    /// Whether it has partial results that run out of time.
    pub(crate) timeouts: bool,
}

/// When a stage has late records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// Never.
    Never,
    /// If it is over windows.
    InWindows,
    /// Always.
    Always,
}

/// What every stream says, whatever its stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Its name.
    pub name: Spanned<String>,
    /// What it reads; more than one is a union.
    pub from: Vec<Spanned<String>>,
    /// What it groups by, each the name of a field or an expression; without any the whole stream is one group.
    pub key: Vec<Spanned<String>>,
    /// The name of a stream of late records.
    pub late_to: Option<Spanned<String>>,
    /// The name of a stream of timed-out partial matches.
    pub timeouts_to: Option<Spanned<String>>,
    /// The name its state is kept under, if not its own.
    pub uid: Option<Spanned<String>>,
    /// On how many of the job's workers its keys lie, if not on all.
    pub parallelism: Option<Spanned<u64>>,
    /// What an error in an expression does at run time.
    pub on_error: OnError,
}

impl Head {
    /// The key in words: ` by user, ip`, or nothing.
    pub(crate) fn by(&self) -> String {
        let keys: Vec<&str> = self.key.iter().map(|key| key.value.as_str()).collect();
        if keys.is_empty() { String::new() } else { format!(" by {}", keys.join(", ")) }
    }

    /// What is missing where the input has no event time.
    pub(crate) fn untimed(&self, remedy: &str) -> String {
        let sources: Vec<_> = self.from.iter().map(|from| format!("`{}`", from.value)).collect();
        format!("records of {} have none: {remedy}", sources.join(", "))
    }

    /// The order of results that begin with the values of the key.
    pub(crate) fn keyed(&self) -> Order {
        Order::behind(Some((0..self.key.len()).collect()))
    }
}

/// What a reader of stages knows of the stream around.
pub(crate) struct Around<'a> {
    /// The stream, for messages: "stream `fails`".
    pub(crate) place: &'a str,
    /// What the stream reads.
    pub(crate) from: &'a [Spanned<String>],
    /// Its windows, if they could be read.
    pub(crate) window: Option<&'a Window>,
    /// Whether it asks for windows, readable or not.
    pub(crate) windowed: bool,
}

/// A stage that was read from a file.
pub(crate) struct Read<S> {
    /// The stage.
    pub(crate) stage: S,
    /// Was all read that says which fields its records have?
    pub(crate) whole: bool,
}

/// A stage as it is written: a part of the logical plan.
pub(crate) trait Stage {
    /// Its kind.
    fn kind(&self) -> &'static Kind;

    /// The names it says of its input, or of what it makes of it, the stream's key aside. Some of them may be no fields, such as variables of macros.
    fn names(&self, head: &Head) -> Vec<String>;

    /// The stream it reads beside those in `from`.
    fn with(&self) -> Option<&Spanned<String>> {
        None
    }

    /// What in it decides which records there are, to be compared with what it was when state was stored.
    fn said(&self) -> Vec<String> {
        Vec::new()
    }

    /// Plans it. `None` if something it reads could not be planned, whose problems are known.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused>;
}

/// What a stage is planned in.
pub(crate) struct Scope<'a> {
    /// The stream it is of.
    pub(crate) head: &'a Head,
    /// What follows it.
    pub(crate) each: &'a Each,
    /// The union of what the stream reads.
    pub(crate) input: &'a Known,
    /// The streams planned before.
    pub(crate) streams: &'a Streams,
    /// The tables that could be read.
    pub(crate) tables: &'a [&'a Relation],
    /// The names the stream says of its input.
    pub(crate) names: &'a [String],
    /// What is asked of open sources.
    pub(crate) asked: &'a mut Asked,
    /// What the outside has answered.
    pub(crate) answers: &'a Answers,
}

/// A stage, compiled.
pub(crate) struct Planned {
    /// What `where` and `select` are over.
    pub(crate) base: Base,
    /// What is known of the rows before they are arranged as in `base`; the schema is that of `base`.
    pub(crate) out: Known,
    /// Where open fields come from.
    pub(crate) origin: Origin,
    /// Builds the operators.
    pub(crate) work: Arc<dyn Work>,
    /// What its state rests on, `reads` aside; `None`: it keeps none.
    pub(crate) basis: Option<Basis>,
    /// The schema of its late records; `None`: they are as they came.
    pub(crate) late: Option<Schema>,
    /// The schema of the partial results that run out of time.
    pub(crate) timeouts: Option<Schema>,
}

/// Why a stream can't be planned, and what is known of what it would give: so what reads it can be judged at once.
pub(crate) struct Refused {
    pub(crate) problems: Vec<Problem>,
    pub(crate) gives: Vec<(String, Known)>,
}

impl From<Vec<Problem>> for Refused {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems, gives: Vec::new() }
    }
}

impl Scope<'_> {
    /// The stage can't be planned, but it would give the fields of `base` to `where` and `select`.
    pub(crate) fn refused(&self, problems: Vec<Problem>, base: Base, timing: Timing) -> Refused {
        Refused::looked_through(self.head, self.each, self.input, problems, base, timing)
    }

    /// Whether the job says that the left side of a join with `with` has a field: among the names `of_left`, or as it calls the field of the right
    /// by the name that it has if the left has it, too.
    pub(crate) fn stated(&self, of_left: Vec<String>, with: &str, origin: &Origin) -> impl Fn(&str) -> bool {
        move |name| of_left.iter().any(|of_left| of_left == name) || self.asked.is_named(origin, &format!("{with}_{name}"))
    }
}

impl Refused {
    /// A stream whose work can't be planned, but gives the fields of `base` to what is done to `each` row.
    pub(crate) fn looked_through(head: &Head, each: &Each, input: &Known, mut problems: Vec<Problem>, base: Base, timing: Timing) -> Self {
        let aside = |name: &Option<Spanned<String>>, known: Known| name.as_ref().map(|name| (name.value.clone(), known));
        let mut gives: Vec<(String, Known)> = aside(&head.late_to, input.clone()).into_iter().collect();
        if head.timeouts_to.is_some() {
            let schema = pipeline::first(&base.schema, base.handed_on);
            gives.extend(aside(&head.timeouts_to, Known::new(schema, timing.clone(), Order::Arrival)));
        }
        let schema = match pipeline::compile(each, base) {
            Ok((_, schema)) => schema,
            Err((more, schema)) => {
                problems.extend(more);
                schema
            }
        };
        gives.push((head.name.value.clone(), Known::new(schema, timing, Order::Arrival).of(&input.origin)));
        Self { problems, gives }
    }
}

/// The fields that the results of windows begin and end in.
pub(crate) static BOUNDS: [(&str, Type); 2] = [("window_start", Type::Timestamp), ("window_end", Type::Timestamp)];
