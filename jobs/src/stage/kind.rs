//! The contract between a kind of stage, the front ends that read it, and the planner.

use std::sync::Arc;

use jiff::SignedDuration;
use tidegate_rows::{Schema, Type};
use tidegate_runtime::Basis;

use super::build::Work;
use super::rules::{Shared, ledger};
use crate::connect::{Answers, Table as Relation};
use crate::relation::each::Each;
use crate::relation::failures::OnError;
use crate::relation::known::{Known, Order, Timing};
use crate::relation::open::{Asked, Origin};
use crate::relation::pipeline::{self, Base};
use crate::relation::union::Streams;
use crate::text::{Problem, Spanned};
use crate::yaml::{Key, Table, millis};

use super::window::Window;

/// What the planner and the readers of job files must know about a kind of stage before they look into one.
pub(crate) struct Kind {
    /// The key of a stream that selects it.
    pub(crate) key: Key,
    /// The keys of the mapping under that key, and of those inside it.
    pub(crate) tables: &'static [&'static Table],
    /// Whether it groups records by the stream's `key`.
    pub(crate) keyed: bool,
    /// Whether it can use the stream's `window`.
    pub(crate) windowed: bool,
    /// Whether it can be told in which order records go on, how late they may be, and by which calendar.
    pub(crate) ordered: bool,
    /// Whether it keeps state.
    pub(crate) stateful: bool,
    /// Whether it has late records even without windows.
    pub(crate) late: bool,
    /// Whether it has partial results that time out.
    pub(crate) timeouts: bool,
    /// The keys in its mapping that name other streams it reads.
    pub(crate) beside: Option<Beside>,
    /// The key in its mapping that names a table it looks into.
    pub(crate) table: Option<&'static str>,
}

/// Where the mapping of a stage names other streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside {
    /// Under this key.
    Under(&'static str),
    /// Under this key of each of its entries.
    EachUnder(&'static str),
}

/// The keys that every stream has, whatever its stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Its name.
    pub name: Spanned<String>,
    /// The streams or sources it reads; several are a union.
    pub from: Vec<Spanned<String>>,
    /// What it groups by: names of fields, or expressions. If empty, the whole stream is one group.
    pub key: Vec<Spanned<String>>,
    /// The name of the stream of late records.
    pub late_to: Option<Spanned<String>>,
    /// The name of the stream of timed-out partial matches.
    pub timeouts_to: Option<Spanned<String>>,
    /// The name its state is kept under, if it is not the stream's own.
    pub uid: Option<Spanned<String>>,
    /// The number of the job's workers that hold its keys, if not all of them do.
    pub parallelism: Option<Spanned<u64>>,
    /// What a failing expression does at run time.
    pub on_error: OnError,
    /// When records go on, if the stream says so.
    pub order: Option<Spanned<InOrder>>,
    /// How far behind the watermark values are still exact.
    pub lateness: Option<Spanned<SignedDuration>>,
    /// The time zone of its calendars.
    pub zone: Option<Spanned<String>>,
    /// The stream of control records that change its rules.
    pub control: Option<Spanned<String>>,
    /// The name of the stream of what became of control records.
    pub ledger: Option<Spanned<String>>,
}

/// In which order the records of a stream go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InOrder {
    /// As they arrive, each at once.
    #[default]
    Arrival,
    /// Of event time, once the watermark has come to them.
    Time,
}

impl Head {
    /// A description of the key: ` by user, ip`, or nothing.
    pub(crate) fn by(&self) -> String {
        let keys: Vec<&str> = self.key.iter().map(|key| key.value.as_str()).collect();
        if keys.is_empty() { String::new() } else { format!(" by {}", keys.join(", ")) }
    }

    /// Whether records go on in order of event time.
    pub(crate) fn in_time(&self) -> bool {
        self.order.as_ref().is_some_and(|order| order.value == InOrder::Time)
    }

    /// How far behind the watermark values are still exact, in milliseconds.
    pub(crate) fn lateness_ms(&self) -> i64 {
        self.lateness.as_ref().map_or(0, |lateness| millis(lateness.value))
    }

    /// Reports keys that don't go with the order. `late` says what happens to late records in order of arrival.
    pub(crate) fn check_order(&self, late: &str, problems: &mut Vec<Problem>) {
        if let (Some(late_to), false) = (&self.late_to, self.in_time()) {
            problems.push(late_to.problem(format!("`late_to` needs `order: time`: in order of arrival, late records {late}, too")));
        }
        if let (Some(lateness), true) = (&self.lateness, self.in_time()) {
            problems
                .push(lateness.problem("`allowed_lateness` is for `order: arrival`; in order of time, give the source a later watermark"));
        }
    }

    /// A message for an input without event time, with the remedy.
    pub(crate) fn untimed(&self, remedy: &str) -> String {
        let sources: Vec<_> = self.from.iter().map(|from| format!("`{}`", from.value)).collect();
        format!("records of {} have none: {remedy}", sources.join(", "))
    }

    /// The order of results that start with the values of the key.
    pub(crate) fn keyed(&self) -> Order {
        Order::behind(Some((0..self.key.len()).collect()))
    }
}

/// What the reader of a stage knows about its stream.
pub(crate) struct Around<'a> {
    /// The stream, for messages: "stream `fails`".
    pub(crate) place: &'a str,
    /// What the stream reads.
    pub(crate) from: &'a [Spanned<String>],
    /// Its windows, if they could be read.
    pub(crate) window: Option<&'a Window>,
    /// Whether it asks for windows, even if they can't be read.
    pub(crate) windowed: bool,
    /// The factors and lists of the job.
    pub(crate) shared: &'a Shared,
}

/// A stage as read from a file.
pub(crate) struct Read<S> {
    /// The stage.
    pub(crate) stage: S,
    /// Whether everything was read that determines the fields of its records.
    pub(crate) whole: bool,
}

/// A stage as written in the job file: a part of the logical plan.
pub(crate) trait Stage {
    /// Its kind.
    fn kind(&self) -> &'static Kind;

    /// The names it uses, of its input or its output, not counting the stream's key. Some may not be fields, such as variables of macros.
    fn names(&self, head: &Head) -> Vec<String>;

    /// The streams it reads besides those in `from`.
    fn with(&self) -> Vec<&Spanned<String>> {
        Vec::new()
    }

    /// Describes what determines its records. Compared on restore with the description in the snapshot.
    fn said(&self) -> Vec<String> {
        Vec::new()
    }

    /// Plans the stage. `None` if something it reads could not be planned, which has already been reported.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn plan(&self, scope: &mut Scope<'_>) -> Result<Option<Planned>, Refused>;
}

/// The context in which a stage is planned.
pub(crate) struct Scope<'a> {
    /// The stream that the stage belongs to.
    pub(crate) head: &'a Head,
    /// The steps after the stage.
    pub(crate) each: &'a Each,
    /// The union of what the stream reads.
    pub(crate) input: &'a Known,
    /// The streams planned so far.
    pub(crate) streams: &'a Streams,
    /// The tables that could be read.
    pub(crate) tables: &'a [&'a Relation],
    /// The names that the stream uses.
    pub(crate) names: &'a [String],
    /// The fields asked of open sources.
    pub(crate) asked: &'a mut Asked,
    /// The answers from the outside.
    pub(crate) answers: &'a Answers,
    /// What is valid and probably not meant.
    pub(crate) warnings: &'a mut Vec<Problem>,
}

/// A planned stage.
pub(crate) struct Planned {
    /// The input of `where` and `select`.
    pub(crate) base: Base,
    /// What is known of the rows before `base` arranges them. The schema is that of `base`.
    pub(crate) out: Known,
    /// Where open fields come from.
    pub(crate) origin: Origin,
    /// Builds the operators.
    pub(crate) work: Arc<dyn Work>,
    /// The basis of its state, without `reads`, or `None` if it keeps none.
    pub(crate) basis: Option<Basis>,
    /// The schema of its late records, or `None` for that of the input.
    pub(crate) late: Option<Schema>,
    /// The schema of its timed-out partial results, if it has any.
    pub(crate) timeouts: Option<Schema>,
}

/// Why a stream can't be planned, and what is known of its outputs, so that the streams that read it can be checked anyway.
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
    /// Refuses the stage, whose output would have had the fields of `base`.
    pub(crate) fn refused(&self, problems: Vec<Problem>, base: Base, timing: Timing) -> Refused {
        Refused::looked_through(self.head, self.each, self.input, problems, base, timing)
    }

    /// Whether the job says that the left side of a join with `with` has a field: the name is among `of_left`, or the job uses
    /// `<with>_<name>`, which is what the right's field is called if the left has one too.
    pub(crate) fn stated(&self, of_left: Vec<String>, with: &str, origin: &Origin) -> impl Fn(&str) -> bool {
        move |name| of_left.iter().any(|of_left| of_left == name) || self.asked.is_named(origin, &format!("{with}_{name}"))
    }
}

impl Refused {
    /// Refuses a stream whose stage can't be planned. Its `where`, `select` and `flat_map` are checked anyway, against the fields of `base`.
    pub(crate) fn looked_through(head: &Head, each: &Each, input: &Known, mut problems: Vec<Problem>, base: Base, timing: Timing) -> Self {
        let aside = |name: &Option<Spanned<String>>, known: Known| name.as_ref().map(|name| (name.value.clone(), known));
        let mut gives: Vec<(String, Known)> = aside(&head.late_to, input.clone()).into_iter().collect();
        gives.extend(aside(&head.ledger, ledger()));
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

/// The fields for the start and end of a window in its results.
pub(crate) static BOUNDS: [(&str, Type); 2] = [("window_start", Type::Timestamp), ("window_end", Type::Timestamp)];
