//! The aggregates, and all kinds of their accumulators.

mod avg;
mod collect;
mod count;
mod count_distinct;
mod first_last;
mod min_max;
mod multiset;
mod quantile;
mod sum;
mod tally;
mod top;
mod variance;

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use tidegate_operators::{Mean, Sliding};
use tidegate_rows::{Type, Value};

use super::sums::{Decimals, Pair, Sums, Wide};
use super::{About, Accumulator, At, Definition, Finish};

macro_rules! functions {
    ($($function:ident($definition:ty) = $($acc:ident)|+;)+) => {
        /// An aggregate function with its constant arguments.
        #[derive(Clone, Debug)]
        pub(crate) enum Function {
            $(
                #[doc = concat!("See [`", stringify!($definition), "`].")]
                $function($definition),
            )+
        }

        /// All functions.
        const ALL: &[About] = &[$(<$definition>::ABOUT),+];

        impl Function {
            /// The function called `name`, over values of type `argument` and with this constant. `None` if there is
            /// none of that name.
            pub(crate) fn new(name: &str, argument: &Type, constant: &str) -> Option<Result<Self, &'static str>> {
                $(if name == <$definition>::ABOUT.name {
                    return Some(<$definition>::new(argument, constant).map(Self::$function));
                })+
                None
            }

            /// What is known about it.
            pub(crate) fn about(&self) -> &'static About {
                match self {
                    $(Self::$function(_) => const { &<$definition>::ABOUT },)+
                }
            }

            /// The type of the result over values of type `argument`.
            pub(crate) fn result(&self, argument: &Type) -> Type {
                match self {
                    $(Self::$function(function) => function.result(argument),)+
                }
            }

            /// How overlapping windows share its work.
            pub(crate) fn sliding(&self) -> Sliding {
                match self {
                    $(Self::$function(function) => function.sliding(),)+
                }
            }

            /// An empty accumulator.
            pub(crate) fn empty(&self) -> Acc {
                match self {
                    $(Self::$function(function) => function.empty(),)+
                }
            }

            /// An empty accumulator for records that come in any order.
            pub(crate) fn unordered(&self) -> Acc {
                match self {
                    $(Self::$function(function) => function.unordered(),)+
                }
            }

            /// The result. `None` if this is no accumulator of the function.
            pub(crate) fn finish(&self, acc: &Acc) -> Option<Value> {
                match (self, acc) {
                    $($((Self::$function(function), Acc::$acc(acc)) => Some(function.finish(acc)),)+)+
                    _ => None,
                }
            }

            /// The content of an accumulator for display. `None` if this is no accumulator of the function.
            fn show(&self, acc: &Acc) -> Option<Value> {
                match (self, acc) {
                    $($((Self::$function(function), Acc::$acc(acc)) => Some(function.show(acc)),)+)+
                    _ => None,
                }
            }

            /// The function called `name`, for display.
            fn named(name: &str) -> Option<Self> {
                $(if name == <$definition>::ABOUT.name {
                    return Some(Self::$function(Default::default()));
                })+
                None
            }
        }
    };
}

macro_rules! accumulators {
    ($($acc:ident($kept:ty),)+) => {
        /// The state of one aggregate for one key and window.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(crate) enum Acc {
            $(
                #[doc = concat!("See [`", stringify!($kept), "`].")]
                $acc($kept),
            )+
        }

        impl Acc {
            /// Adds a value, which the function must accept.
            #[inline]
            pub(crate) fn add(&mut self, value: &Value, at: At) {
                match self {
                    $(Self::$acc(acc) => {
                        if Accumulator::takes(acc, value) {
                            Accumulator::add(acc, value, at);
                        } else {
                            self.add_otherwise(value, at);
                        }
                    })+
                }
            }

            /// Adds values, which the function must accept, where it does not matter when they came. Faster than adding one by one.
            #[inline]
            pub(crate) fn add_each(&mut self, mut values: impl Iterator<Item = Value>) {
                let at = At::unordered(0);
                let mut odd = None;
                match self {
                    $(Self::$acc(acc) => {
                        for value in values.by_ref() {
                            if !Accumulator::takes(acc, &value) {
                                odd = Some(value);
                                break;
                            }
                            Accumulator::add(acc, &value, at);
                        }
                    })+
                }
                if let Some(value) = odd {
                    self.add_otherwise(&value, at);
                    values.for_each(|value| self.add(&value, at));
                }
            }

            /// Adds everything that another accumulator of the same function has seen.
            pub(crate) fn merge(&mut self, other: &Self) {
                match (self, other) {
                    $((Self::$acc(acc), Self::$acc(other)) if Accumulator::absorbs(acc, other) => Accumulator::merge(acc, other),)+
                    (acc, other) => acc.merge_sums(other),
                }
            }

            /// Takes out everything that another accumulator of the same function has seen, which must have been
            /// merged into this one before. Only for functions that slide by [`Sliding::Retract`].
            pub(super) fn retract(&mut self, other: &Self) {
                match (self, other) {
                    $((Self::$acc(acc), Self::$acc(other)) => {
                        if let Some(retract) = <$kept>::RETRACT {
                            retract(acc, other);
                        }
                    })+
                    // What can be retracted never changes its kind.
                    _ => {}
                }
            }

            /// Whether it can be retracted.
            #[cfg(test)]
            pub(super) fn retracts(&self) -> bool {
                match self {
                    $(Self::$acc(_) => <$kept>::RETRACT.is_some(),)+
                }
            }

            /// The same sums, exact from here on.
            pub(super) fn to_sums(&self) -> Option<Sums> {
                match self {
                    $(Self::$acc(acc) => Accumulator::to_sums(acc),)+
                }
            }

            /// The same sums with decimals.
            pub(super) fn to_decimals(&self) -> Option<Decimals> {
                match self {
                    $(Self::$acc(acc) => Accumulator::to_decimals(acc),)+
                }
            }
        }
    };
}

// In the order of the reference: each function with the kinds of its accumulators.
functions! {
    Count(count::Count) = Count;
    Sum(sum::Sum) = Sum | SumOfDoubles | Exact | Decimals | Pair;
    Avg(avg::Avg) = Avg | AvgOfInts | Exact | Decimals;
    Min(min_max::Min) = Min;
    Max(min_max::Max) = Max;
    First(first_last::First) = First;
    Last(first_last::Last) = Last;
    CountDistinct(count_distinct::CountDistinct) = Distinct;
    Collect(collect::Collect) = Collect;
    Stddev(variance::Stddev) = Moments | Exact;
    Variance(variance::Variance) = Moments | Exact;
    Quantile(quantile::Quantile) = Quantile;
    Top(top::Top) = Frequencies;
}

// Stored by position: a new kind comes last, and none is ever removed or changed.
accumulators! {
    Count(count::Counted),
    Sum(sum::Mixed),
    SumOfDoubles(sum::Doubles),
    Avg(Mean<f64>),
    AvgOfInts(Mean<Wide>),
    Min(min_max::Least),
    Max(min_max::Greatest),
    First(first_last::Earliest),
    Last(first_last::Latest),
    Distinct(count_distinct::Distinct),
    Collect(collect::Collected),
    Moments(variance::Moments),
    Quantile(quantile::Numbers),
    Frequencies(top::Frequencies),
    Exact(Box<Sums>),
    Decimals(Box<Decimals>),
    Pair(Pair),
}

impl Function {
    /// All functions.
    pub(super) fn all() -> impl Iterator<Item = &'static About> {
        ALL.iter()
    }

    /// The names of all functions.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|about| about.name)
    }
}

impl Acc {
    /// Continues with decimals from this value on, the first one, or with sums, if it takes more digits than there were.
    #[cold]
    fn add_otherwise(&mut self, value: &Value, at: At) {
        if let Value::Decimal(_) = value {
            let mut sums = self.to_decimals().unwrap_or_default();
            sums.add(value, at);
            *self = Self::Decimals(Box::new(sums));
        } else {
            let mut sums = self.to_sums().unwrap_or_default();
            sums.add(value, at);
            *self = Self::Exact(Box::new(sums));
        }
    }

    /// Merges sums that can't stay as they are: one of them has met decimals, or was stored when the records of the job
    /// were in another order, or two pairs need more digits than a pair has. Other functions have only one kind of
    /// accumulator.
    #[cold]
    fn merge_sums(&mut self, other: &Self) {
        if matches!((&*self, other), (Self::Decimals(_), _) | (_, Self::Decimals(_))) {
            if let (Some(mut sums), Some(others)) = (self.to_decimals(), other.to_decimals()) {
                sums.merge(&others);
                *self = Self::Decimals(Box::new(sums));
            }
        } else if let (Some(mut sums), Some(others)) = (self.to_sums(), other.to_sums()) {
            sums.merge(&others);
            *self = Self::Exact(Box::new(sums));
        }
    }

    /// The content for display, as far as it can be told without the function. `kept` describes the accumulator.
    pub(crate) fn shown(&self, kept: &str) -> Value {
        let name = kept.split('(').next().unwrap_or_default();
        Function::named(name).and_then(|function| function.show(self)).unwrap_or_default()
    }
}

/// All aggregates of job files as a table in Markdown: how each is called, and what it returns.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from("| call | result |\n| --- | --- |\n");
    for about in Function::all() {
        let calls: Vec<_> = about.calls.iter().map(|call| format!("`{call}`")).collect();
        let _ = writeln!(text, "| {} | {} |", calls.join(", "), about.returns);
    }
    text
}
