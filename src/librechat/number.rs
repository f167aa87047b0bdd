//! Numbers in LibreChat's documents. LibreChat computes with JavaScript's numbers, doubles, whatever MongoDB keeps; so it is these
//! that are read here.

use serde_json::Value;

/// The number: a JSON number, or a double that JSON has no word for (`{"$numberDouble": "NaN"}`). None for anything else, such as text
/// or a decimal, with which LibreChat's own arithmetic goes wrong.
pub(super) fn read(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    match value.get("$numberDouble")?.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The number as a count, if it is whole, not negative, and no greater than a double counts exactly.
pub(super) fn count(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(floor(number))
}

/// The number rounded down to a count: 0 for what is negative or no number, the greatest count for what is greater.
pub(super) fn floor(number: f64) -> u64 {
    // A conversion saturates, and rounds towards 0.
    number as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_those_of_javascript() {
        for (value, expected) in [
            (json!(-20), Some(-20.0)),
            (json!(19999822.9), Some(19_999_822.9)),
            (json!(-0.0), Some(0.0)),
            (json!({"$numberDouble": "Infinity"}), Some(f64::INFINITY)),
            (json!({"$numberDouble": "-Infinity"}), Some(f64::NEG_INFINITY)),
            (json!({"$numberDouble": "1"}), None),
            (json!({"$numberDecimal": "1.5"}), None),
            (json!("1"), None),
            (json!(null), None),
            (json!(true), None),
            (json!([1]), None),
        ] {
            assert_eq!(read(&value), expected, "{value}");
        }
        assert!(read(&json!({"$numberDouble": "NaN"})).unwrap().is_nan());
    }

    #[test]
    fn counts_are_whole_and_never_wrap() {
        for (number, whole, down) in [
            (0.0, Some(0), 0),
            (-0.0, Some(0), 0),
            (7.0, Some(7), 7),
            (7.9, None, 7),
            (-1.0, None, 0),
            (9_007_199_254_740_992.0, Some(1 << 53), 1 << 53),
            (1e300, None, u64::MAX),
            (f64::INFINITY, None, u64::MAX),
            (f64::NEG_INFINITY, None, 0),
            (f64::NAN, None, 0),
        ] {
            assert_eq!((count(number), floor(number)), (whole, down), "{number}");
        }
    }
}
