//! Claims as a case writes them: values without places, for those who map them.

use crate::policy::tree::{Node, Value};

/// A value of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// Nothing, a number, or true or false: values that no mapping looks at.
    Other,
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Plain>),
    /// Members by their names. No name stands twice.
    Map(Vec<(String, Plain)>),
}

// === impl Plain ===

impl Plain {
    pub(super) fn of(node: &Node) -> Self {
        match &node.value {
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => Self::Other,
            Value::Text(text) => Self::Text(text.clone()),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Map(entries) => {
                Self::Map(entries.iter().map(|(key, node)| (key.name.clone(), Self::of(node))).collect())
            }
        }
    }
}
