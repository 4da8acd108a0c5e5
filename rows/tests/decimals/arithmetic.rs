//! Every operation against the fraction that it means.

use std::cmp::Ordering;

use bigdecimal::num_bigint::BigInt;
use proptest::prelude::*;
use tidegate_rows::{Decimal, DecimalSum, NotDecimal, Rounding, Value};

use super::{decimal, decimals};

/// A fraction, whose denominator is positive.
#[derive(Clone, Debug)]
struct Fraction(BigInt, BigInt);

fn ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

impl Fraction {
    fn of(v: Decimal) -> Self {
        Self(v.units().into(), ten(v.scale().into()))
    }

    /// The number that a finite double is.
    fn of_double(v: f64) -> Self {
        let (mut denominator, mut whole) = (BigInt::from(1), v);
        // Doubling is exact, unless it overflows, which fractions are far from.
        while whole.fract() != 0.0 {
            whole *= 2.0;
            denominator *= 2;
        }
        Self(format!("{whole:.0}").parse().unwrap(), denominator)
    }

    fn compare(&self, other: &Self) -> Ordering {
        (&self.0 * &other.1).cmp(&(&other.0 * &self.1))
    }

    /// The whole number of units of 10^-places that is nearest, halves away from zero.
    fn nearest(&self, places: u32) -> BigInt {
        let double: BigInt = &self.0 * ten(places) * 2;
        let half = if self.0 < BigInt::ZERO { -self.1.clone() } else { self.1.clone() };
        (double + half) / (&self.1 * 2)
    }

    /// The units and the scale that a result has: as many digits as fit.
    fn rounded(&self) -> Option<(BigInt, u32)> {
        let limit = ten(38);
        (0..=38).rev().map(|places| (self.nearest(places), places)).find(|(units, _)| *units < limit && *units > -limit.clone())
    }

    fn agrees(&self, found: Option<Decimal>) -> bool {
        match (self.rounded(), found) {
            (Some((units, places)), Some(found)) => Fraction(units, ten(places)).compare(&Self::of(found)).is_eq(),
            (expected, found) => expected.is_none() && found.is_none(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn results_are_exact_or_rounded_once(a in decimals(), b in decimals()) {
        let (Fraction(an, ad), Fraction(bn, bd)) = (Fraction::of(a), Fraction::of(b));
        let sum = Fraction(&an * &bd + &bn * &ad, &ad * &bd);
        prop_assert!(sum.agrees(a.checked_add(b)), "{a} + {b} = {:?}", a.checked_add(b));
        let difference = Fraction(&an * &bd - &bn * &ad, &ad * &bd);
        prop_assert!(difference.agrees(a.checked_sub(b)), "{a} - {b} = {:?}", a.checked_sub(b));
        let product = Fraction(&an * &bn, &ad * &bd);
        prop_assert!(product.agrees(a.checked_mul(b)), "{a} * {b} = {:?}", a.checked_mul(b));
        if b.units() == 0 {
            prop_assert_eq!((a.checked_div(b), a.checked_rem(b)), (None, None));
        } else {
            let sign = if bn < BigInt::ZERO { -1 } else { 1 };
            let quotient = Fraction(&an * &bd * sign, &ad * &bn * sign);
            prop_assert!(quotient.agrees(a.checked_div(b)), "{a} / {b} = {:?}", a.checked_div(b));
            let rest = Fraction(&an * &bd - (&an * &bd / (&bn * &ad)) * &bn * &ad, &ad * &bd);
            prop_assert!(rest.agrees(a.checked_rem(b)), "{a} % {b} = {:?}", a.checked_rem(b));
        }
    }

    #[test]
    fn amounts_are_compared_exactly(a in decimals(), b in decimals(), double in any::<f64>(), near in -2_i64..3) {
        prop_assert_eq!(a.amount_cmp(b), Fraction::of(a).compare(&Fraction::of(b)));
        // A double next to the decimal, or the nearest itself.
        let close = f64::from_bits(a.to_f64().to_bits().saturating_add_signed(near));
        for double in [double, close] {
            let expected = if double.is_nan() {
                None
            } else if double.is_infinite() {
                Some(if double > 0.0 { Ordering::Less } else { Ordering::Greater })
            } else {
                Some(Fraction::of(a).compare(&Fraction::of_double(double)))
            };
            prop_assert_eq!(a.cmp_f64(double), expected, "{} and {}", a, double);
        }
        prop_assert_eq!(a.exact_f64().is_some(), a.cmp_f64(a.to_f64()) == Some(Ordering::Equal));
        prop_assert_eq!(a.to_f64(), a.to_string().parse::<f64>().unwrap());
    }

    #[test]
    fn a_number_is_rounded_to_places(a in decimals(), places in -45_i64..45) {
        let Fraction(n, d) = Fraction::of(a);
        // In units of the last place that is kept.
        let (n, d) = match u32::try_from(places) {
            Ok(places) => (n * ten(places), d),
            Err(_) => (n, d * ten(places.unsigned_abs() as u32)),
        };
        let down = &n / &d;
        let rest = &n - &down * &d;
        let step = BigInt::from(if n < BigInt::ZERO { -1 } else { 1 });
        for (rounding, away) in [
            (Rounding::Down, false),
            (Rounding::Floor, rest < BigInt::ZERO),
            (Rounding::Ceiling, rest > BigInt::ZERO),
            (Rounding::Nearest, (&rest * 2 * &step) >= d),
        ] {
            let units = if away { &down + &step } else { down.clone() };
            let expected = match u32::try_from(places) {
                Ok(places) => Fraction(units, ten(places)),
                Err(_) => Fraction(units * ten(places.unsigned_abs() as u32), 1.into()),
            };
            let found = a.round(places, rounding);
            if let Some(found) = found {
                prop_assert!(expected.compare(&Fraction::of(found)).is_eq(), "{a} to {places}, {rounding:?}: {found}");
                prop_assert!(i64::from(found.scale()) <= places.max(0));
            } else {
                prop_assert!(expected.0 >= ten(38) || expected.0 <= -ten(38), "{a} to {places}, {rounding:?}");
            }
        }
    }

    #[test]
    fn texts_come_back(a in decimals(), exponent in -40_i32..40) {
        prop_assert_eq!(a.to_string().parse(), Ok(a));
        prop_assert_eq!(a.normalized().amount_cmp(a), Ordering::Equal);
        let stored = serde_json::to_string(&Value::Decimal(a)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), Value::Decimal(a));
        // An exponent moves the point.
        let moved = format!("{a}e{exponent}").parse::<Decimal>();
        let Fraction(n, d) = Fraction::of(a);
        let expected = match u32::try_from(exponent) {
            Ok(exponent) => Fraction(n * ten(exponent), d),
            Err(_) => Fraction(n, d * ten(exponent.unsigned_abs())),
        };
        match moved {
            Ok(moved) => prop_assert!(expected.compare(&Fraction::of(moved)).is_eq(), "{a}e{exponent} is {moved}"),
            Err(e) => {
                prop_assert_eq!(e, NotDecimal::TooLong);
                let exact = expected.rounded().is_some_and(|(units, places)| Fraction(units, ten(places)).compare(&expected).is_eq());
                prop_assert!(!exact, "{}e{}", a, exponent);
            }
        }
    }

    #[test]
    fn sums_do_not_depend_on_order_and_can_be_taken_back(
        kept in proptest::collection::vec(decimals(), 0..20),
        gone in proptest::collection::vec(decimals(), 0..20),
    ) {
        let of = |terms: &[Decimal]| {
            let mut sum = DecimalSum::default();
            terms.iter().for_each(|term| sum.add(*term));
            sum
        };
        let mut sum = of(&gone);
        sum.merge(&of(&kept));
        sum.retract(&of(&gone));
        let scaled = |term: &Decimal| BigInt::from(term.units()) * ten(38 - u32::from(term.scale()));
        let exact = Fraction(kept.iter().map(scaled).sum(), ten(38));
        prop_assert!(exact.agrees(sum.total()), "{kept:?} sum up to {:?}", sum.total());
        prop_assert_eq!(sum.total(), of(&kept).total());
        if let (Some(total), Some(scale)) = (sum.total(), kept.iter().map(|term| term.scale()).max())
            && exact.0.clone() / ten(38 - u32::from(scale)) < ten(38)
            && exact.0.clone() / ten(38 - u32::from(scale)) > -ten(38)
        {
            prop_assert_eq!(total.scale(), scale);
        }
        let count = kept.len() as u64;
        if count > 0 {
            let mean = Fraction(exact.0, exact.1 * count);
            prop_assert!(mean.agrees(sum.divided_by(count)), "{kept:?} have the mean {:?}", sum.divided_by(count));
        }
    }

    #[test]
    fn a_double_becomes_the_decimal_it_is_written_as(v in prop_oneof![any::<f64>(), -1e9..1e9, (-1_000_000_i32..1_000_000).prop_map(|v| f64::from(v) / 100.0)]) {
        match Decimal::from_f64(v) {
            Some(found) if v.abs() > 1e-20 => prop_assert_eq!(found.to_f64(), v),
            // Half a unit of the last place, and half a step between doubles.
            Some(found) => prop_assert!((found.to_f64() - v).abs() <= 5.1e-39 + v.abs() * f64::EPSILON, "{v} is {found}"),
            None => prop_assert!(!v.is_finite() || v.abs() >= 1e38),
        }
    }
}

#[test]
fn results_keep_the_digits_that_are_expected() {
    let of = |operator: char, a: Decimal, b: Decimal| match operator {
        '+' => a.checked_add(b),
        '*' => a.checked_mul(b),
        '/' => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    let largest = "99999999999999999999999999999999999999";
    for (operator, a, b, expected) in [
        ('+', "12.30", "0.7", "13.00"),
        ('+', "0.1", "0.2", "0.3"),
        ('+', "1", "-1.00", "0.00"),
        ('*', "19.99", "3", "59.97"),
        ('*', "0.10", "0.10", "0.0100"),
        ('/', "10.00", "4", "2.50"),
        ('/', "7", "2", "3.5"),
        ('/', "1", "3", "0.33333333333333333333333333333333333333"),
        ('/', "-2", "3", "-0.66666666666666666666666666666666666667"),
        ('/', "100", "3", "33.333333333333333333333333333333333333"),
        ('%', "-7.5", "2", "-1.5"),
        ('%', "7.5", "-2", "1.5"),
        ('+', largest, "0.4", largest),
        ('*', "0.33333333333333333333333333333333333333", "3", "0.99999999999999999999999999999999999999"),
    ] {
        assert_eq!(of(operator, decimal(a), decimal(b)).map(|v| v.to_string()).as_deref(), Some(expected), "{a} {operator} {b}");
    }
    assert_eq!(decimal(largest).checked_add(decimal("0.5")), None, "rounded it has a digit too many");
    assert_eq!(decimal(largest).checked_mul(decimal("10")), None);
    assert_eq!(decimal(largest).checked_div(decimal("0.1")), None);
    assert_eq!(decimal(largest).checked_sub(decimal(largest)), Some(Decimal::ZERO));
}

#[test]
fn what_is_no_decimal_is_refused() {
    for (text, expected) in [
        ("12.30", "12.30"),
        ("-0.00", "0.00"),
        ("+5", "5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.5e3", "1500"),
        ("1e-3", "0.001"),
        ("0e99", "0"),
        ("0001", "1"),
    ] {
        assert_eq!(decimal(text).to_string(), expected, "{text}");
    }
    // Zeros that there is no room for are left out.
    assert_eq!(decimal(&format!("1.{}", "0".repeat(100))).to_string(), format!("1.{}", "0".repeat(37)));
    for text in ["", "-", ".", "1.2.3", "1,5", "0x1", "1e", "1e+", "e5", "NaN", "inf", " 1", "1 ", "--1", "1_000", "١"] {
        assert_eq!(text.parse::<Decimal>(), Err(NotDecimal::NoNumber), "{text}");
    }
    for text in
        ["1e38", "1e-39", "1e999999999999999999999", "123456789012345678901234567890123456789", "0.123456789012345678901234567890123456789"]
    {
        assert_eq!(text.parse::<Decimal>(), Err(NotDecimal::TooLong), "{text}");
    }
    assert_eq!(Decimal::new(10_i128.pow(38), 0), None);
    assert_eq!(Decimal::new(1, 39), None);
    assert!(serde_json::from_str::<Decimal>("[100000000000000000000000000000000000000, 0]").is_err(), "state that nobody has written");
}

/// Of values that compare equal, `strict_cmp` calls only those equal that are the same.
#[test]
fn values_are_in_order_across_types() {
    let values = [
        Value::Null,
        Value::Bool(true),
        Value::Double(f64::NEG_INFINITY),
        Value::Decimal(decimal("-99999999999999999999999999999999999999")),
        Value::Decimal(decimal("0.09999999999999999999999999999999999999")),
        Value::Decimal(decimal("0.1")),
        Value::Double(0.1),
        Value::Int(1),
        Value::Uint(1),
        Value::Double(1.0),
        Value::Decimal(decimal("1")),
        Value::Decimal(decimal("1.0")),
        Value::Int(9_007_199_254_740_993),
        Value::Decimal(decimal("9007199254740993.5")),
        Value::Uint(u64::MAX),
        Value::Double(f64::INFINITY),
        Value::string("0"),
    ];
    for (i, a) in values.iter().enumerate() {
        for (j, b) in values.iter().enumerate() {
            assert_eq!(a.strict_cmp(b), i.cmp(&j), "{a:?} and {b:?}");
            assert_eq!(a == b, i == j, "{a:?} and {b:?}");
        }
    }
}

/// State is stored with the numbers of variants: those of old must stay.
#[test]
fn stored_values_keep_their_numbers() {
    let config = bincode::config::standard();
    let number = |value: &Value| bincode::serde::encode_to_vec(value, config).unwrap()[0];
    assert_eq!([Value::Null, Value::Double(0.0), Value::Absent].each_ref().map(number), [0, 4, 11]);
    let price = Value::Decimal(decimal("-12.30"));
    let stored = bincode::serde::encode_to_vec(&price, config).unwrap();
    assert_eq!(stored, [12, 251, 155, 9, 2], "the variant, 2 * 1230 - 1, the scale");
    assert_eq!(bincode::serde::decode_from_slice::<Value, _>(&stored, config).unwrap().0, price);
}
