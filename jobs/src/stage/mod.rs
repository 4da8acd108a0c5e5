//! Stages: what a stream does with its records before `where`.
//!
//! A kind of stage is a file or a folder: it knows its keys, reads them, names the fields it uses, plans itself and builds itself. To add one,
//! write the file and list it below. [`kind`] is the contract.

mod build;
mod keyed;
mod kind;
pub(crate) mod window;

pub(crate) use build::{Rows, Site, Work, filtered, gather, kinds, through};
pub(crate) use indicators::RowColumn;
pub(crate) use keyed::Identity;
pub(crate) use kind::{Around, Beside, Kind, Planned, Read, Refused, Scope};
pub use kind::{Head, InOrder};
pub use rules::{Difference, differences, drawn, streams_with_rules};
pub(crate) use rules::{ENTRY, FactorText, LIST, ListSpec, Shared, json_of, ledger, of_rules, parse_value, read_list};
pub(crate) use window::RowTriggerState;
pub use window::{Clock, Drops, Evictor, Gap, Shape, Trigger, Window};

use crate::text::Span;
use crate::yaml::{Key, Node, Reader, Table};

macro_rules! stages {
    ($($module:ident: $kind:ident),* $(,)?) => {
        $(pub(crate) mod $module;)*

        /// What a stream does with its records before `where`.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "one for each stream of a file")]
        pub enum Stage {
            $(
                #[doc = concat!("`", stringify!($module), "`.")]
                $kind($module::$kind),
            )*
        }

        impl Stage {
            /// The interface common to all kinds.
            pub(crate) fn get(&self) -> &dyn kind::Stage {
                match self {
                    $(Self::$kind(stage) => stage,)*
                }
            }

            /// Reads the stage under the key of this kind.
            pub(crate) fn read(kind: &Kind, reader: &mut Reader, node: &Node, at: &Span, around: &Around<'_>) -> Option<Read<Self>> {
                match kind.key.name {
                    $(name if name == $module::KIND.key.name => {
                        $module::read(reader, node, at, around).map(|read| Read { stage: Self::$kind(read.stage), whole: read.whole })
                    })*
                    _ => None,
                }
            }
        }

        /// All kinds of stages.
        pub(crate) static KINDS: [&Kind; [$(stringify!($kind)),*].len()] = [$(&$module::KIND),*];

        static KEYS: [Key; KINDS.len()] = [$($module::KIND.key),*];
    };
}

stages! {
    pattern: Pattern,
    join: Join,
    lookup: Lookup,
    dedupe: Dedupe,
    top: Top,
    aggregate: Aggregation,
    indicators: Indicators,
    rules: Rules,
}

/// The keys of a stream that select a stage.
pub(crate) static STAGE: Table = Table { name: "stream", title: "A stream", keys: &KEYS };

/// The keys of all stages and of the windows they can use.
pub(crate) fn tables() -> impl Iterator<Item = &'static Table> {
    let own = KINDS.iter().flat_map(|kind| kind.tables.iter().copied());
    std::iter::once(&STAGE).chain(window::TABLES).chain(own).chain([&LIST, &ENTRY])
}
