//! Decimals: arithmetic against fractions of big integers, and their way through every format.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod arithmetic;
mod formats;

use proptest::prelude::*;
use tidegate_rows::Decimal;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Decimals of every size and scale, money above all.
fn decimals() -> impl Strategy<Value = Decimal> {
    let money = (-10_000_000_i64..10_000_000).prop_map(|cents| Decimal::new(cents.into(), 2));
    let sized = (any::<i128>(), 0_u32..128, 0_u8..=38).prop_map(|(units, shift, scale)| Decimal::new(units >> shift, scale));
    let round = (-999_i128..999, 0_u32..=35, 0_u8..=38).prop_map(|(units, zeros, scale)| Decimal::new(units * 10_i128.pow(zeros), scale));
    let edge = (0_i128..3, any::<bool>(), 0_u8..=38).prop_map(|(below, negative, scale)| {
        let units = 10_i128.pow(38) - 1 - below;
        Decimal::new(if negative { -units } else { units }, scale)
    });
    prop_oneof![4 => money, 4 => sized, 2 => round, 1 => edge].prop_filter_map("too many digits", |decimal| decimal)
}
