//! Sums of numbers that several aggregates keep.

mod decimals;
mod doubles;
mod exact;
mod pair;
mod wide;

pub(super) use decimals::Decimals;
pub(super) use doubles::Sums;
pub(super) use exact::Exact;
pub(super) use pair::Pair;
pub(super) use wide::Wide;

use tidegate_operators::Sliding;
use tidegate_rows::Type;

/// The statically known type of the numbers in a sum or mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Ints or uints.
    Ints,
    /// Doubles.
    Doubles,
    /// Decimals.
    Decimals,
    /// Values of any type.
    #[default]
    Any,
}

impl From<&Type> for Numbers {
    fn from(ty: &Type) -> Self {
        match ty {
            Type::Int | Type::Uint => Self::Ints,
            Type::Double => Self::Doubles,
            Type::Decimal => Self::Decimals,
            _ => Self::Any,
        }
    }
}

impl Numbers {
    /// How overlapping windows share sums: those of ints and decimals are exact, so a record that leaves the window can
    /// be taken out.
    pub(super) fn sliding(self) -> Sliding {
        match self {
            Self::Ints | Self::Decimals => Sliding::Retract,
            Self::Doubles | Self::Any => Sliding::Suffixes,
        }
    }
}
