//! LibreChat's documents as JSON, as [`crate::store::Fields`] has it.

use mongodb::bson::{Bson, Document};
use serde_json::{Value, json};

use crate::store::Fields;

/// A document's members, in their order.
pub(super) fn plain(document: Document) -> Fields {
    document.into_iter().map(|(key, value)| (key, json(value))).collect()
}

/// A value as JSON. Numbers that JSON cannot hold and types that it does not have become objects, never texts or nulls,
/// which somebody could take for something else.
pub(super) fn json(value: Bson) -> Value {
    match value {
        Bson::Null => Value::Null,
        Bson::Boolean(value) => value.into(),
        Bson::Int32(value) => value.into(),
        Bson::Int64(value) => value.into(),
        Bson::Double(value) if value.is_finite() => value.into(),
        // In the words of MongoDB's Extended JSON, which are JavaScript's: Rust writes `inf`.
        Bson::Double(value) if value.is_nan() => json!({"$numberDouble": "NaN"}),
        Bson::Double(value) => json!({"$numberDouble": if value > 0.0 { "Infinity" } else { "-Infinity" }}),
        Bson::Decimal128(value) => json!({"$numberDecimal": value.to_string()}),
        Bson::String(value) => value.into(),
        Bson::Array(items) => items.into_iter().map(json).collect(),
        Bson::Document(document) => Value::Object(plain(document)),
        Bson::ObjectId(id) => json!({"$oid": id.to_hex()}),
        Bson::DateTime(at) => json!({"$date": at.timestamp_millis()}),
        other => json!({"$type": format!("{:?}", other.element_type())}),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;
    use mongodb::bson::{DateTime, doc};

    use super::*;

    #[test]
    fn what_json_has_no_word_for_is_an_object() {
        let id = ObjectId::from_bytes([7; 12]);
        for (value, expected) in [
            (Bson::Null, json!(null)),
            (Bson::Int32(3), json!(3)),
            (Bson::Int64(-3), json!(-3)),
            (Bson::Double(0.5), json!(0.5)),
            (Bson::Double(f64::NAN), json!({"$numberDouble": "NaN"})),
            (Bson::Double(f64::INFINITY), json!({"$numberDouble": "Infinity"})),
            (Bson::Double(f64::NEG_INFINITY), json!({"$numberDouble": "-Infinity"})),
            (Bson::Decimal128("1.50".parse().unwrap()), json!({"$numberDecimal": "1.50"})),
            (Bson::Decimal128("NaN".parse().unwrap()), json!({"$numberDecimal": "NaN"})),
            (Bson::Int64(i64::MAX), json!(9_223_372_036_854_775_807_i64)),
            (Bson::ObjectId(id), json!({"$oid": "070707070707070707070707"})),
            (Bson::DateTime(DateTime::from_millis(5)), json!({"$date": 5})),
            (Bson::Undefined, json!({"$type": "Undefined"})),
            (Bson::Symbol("gpt-4o".into()), json!({"$type": "Symbol"})),
            (Bson::Array(vec!["a".into(), doc! {"b": true}.into()]), json!(["a", {"b": true}])),
        ] {
            assert_eq!(json(value), expected);
        }
    }
}
