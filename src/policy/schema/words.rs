//! The words and the amounts that both kinds of files have.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A type that is told by hand, as the reader takes it: a number or a text.
macro_rules! told {
    ($($(#[doc = $doc:literal])+ $name:ident $schema:tt)+) => {$(
        $(#[doc = $doc])+
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

told! {
    /// `1`
    One { "type": "integer", "const": 1 }
    /// `60`, `100k`, `1.5M`
    Count { "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?[kM]?$" }
    /// `0.50 USD`
    Money { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?\\s*USD$" }
    /// An amount in the unit of whatever it is about.
    AnyAmount { "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?([kM]|\\s*USD)?$" }
    /// `80`, `80%`
    Percent {
        "type": ["integer", "string"], "minimum": 1, "maximum": 100,
        "pattern": "^0*(100|[1-9][0-9]?)(\\.0+)?%?$"
    }
    /// `90s`, `day`
    Window { "type": "string", "pattern": "^(hour|day|week|month|[0-9]+(\\.0+)?[smhd])$" }
    /// A name of the IANA database.
    Timezone { "type": "string", "minLength": 1 }
    /// US dollars for a million tokens.
    Dollars { "type": "number", "minimum": 0, "maximum": 1_000_000 }
    /// The id of a limit.
    LimitId { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" }
    /// The word `none`.
    NoneAtAll { "type": "string", "const": "none" }
    /// The word `all`.
    All { "type": "string", "const": "all" }
    /// `openAI|gpt-4o`
    Pair { "type": "string", "pattern": "^[^|]+\\|[\\s\\S]+$" }
    /// A moment with its distance from UTC.
    Moment {
        "type": "string",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.*([Zz]|[+-][0-9]{2}(:?[0-9]{2}){0,2})(\\[.*\\])*$"
    }
    /// 24 hexadecimal digits.
    UserId { "type": "string", "pattern": "^[0-9A-Fa-f]{24}$" }
    /// Something with an `@`.
    Address { "type": "string", "pattern": "@" }
    /// A name.
    Name { "type": "string", "minLength": 1 }
    /// Names, each once.
    Names { "type": "array", "items": { "type": "string", "minLength": 1 }, "uniqueItems": true }
    /// Names, at least one.
    SomeNames { "type": "array", "items": { "type": "string", "minLength": 1 }, "uniqueItems": true, "minItems": 1 }
    /// Names, as a case writes them.
    Texts { "type": "array", "items": { "type": "string" } }
    /// A text.
    Text { "type": "string" }
    /// Any members.
    Members { "type": "object" }
}

/// Whether anything is refused.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Mode {
    /// Refuse what is not allowed.
    Enforce,
    /// Refuse nothing, and record what would have been refused.
    Shadow,
}

/// What holds where nothing else decides.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Open {
    /// It is open.
    Allow,
    /// It is closed.
    Deny,
}

/// Where a claim stands.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Token {
    /// In the id token.
    Id,
    /// In the access token.
    Access,
    /// In the provider's own answer about the person.
    Userinfo,
}
