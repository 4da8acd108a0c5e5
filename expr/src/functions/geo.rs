//! Geographic functions.

use tidegate_rows::Value;

use super::{Function, Outcome, Style, T, no_match};
use crate::error::EvalError;
use crate::val::Val;

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "geo_distance",
    style: Style::Global,
    overloads: &[(&[T::Number, T::Number, T::Number, T::Number], T::Double)],
    call: distance,
    doc: "The distance in metres between two places on the earth, taken as a sphere. The arguments are latitude and longitude of one, then of the other, in degrees.",
    examples: &[("math.round(geo_distance(52.52, 13.405, 48.137, 11.575))", "504339.0"), ("geo_distance(0, 180, 0, -180) < 0.001", "true")],
}];

/// The mean radius of the earth in metres (IUGG).
const RADIUS: f64 = 6_371_008.8;

fn distance(args: &[Val<'_>]) -> Outcome {
    let degrees = |i: usize| args.get(i).and_then(Val::data).and_then(Value::as_f64);
    let (Some(lat1), Some(lon1), Some(lat2), Some(lon2)) = (degrees(0), degrees(1), degrees(2), degrees(3)) else { return no_match() };
    for latitude in [lat1, lat2] {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(EvalError::message(format!("{latitude} is not a latitude, which is from -90 to 90")));
        }
    }
    for longitude in [lon1, lon2] {
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(EvalError::message(format!("{longitude} is not a longitude, which is from -180 to 180")));
        }
    }
    Ok(Val::Own(Value::Double(haversine(lat1, lon1, lat2, lon2))))
}

/// The haversine formula, which stays precise for points close together.
fn haversine(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let h = half(lat1, lat2) + lat1.to_radians().cos() * lat2.to_radians().cos() * half(lon1, lon2);
    2.0 * RADIUS * h.min(1.0).sqrt().asin()
}
