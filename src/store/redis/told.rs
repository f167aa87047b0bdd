//! What a script answers, read strictly.

use jiff::Timestamp;
use redis::{FromRedisValue, ParsingError, Value};
use uuid::Uuid;

use crate::store::counters::{Draw, Hold, Standing};

/// A list: a word, the server's time, and what the word wants said with it.
pub(super) struct Told {
    pub(super) word: String,
    pub(super) at: Timestamp,
    pub(super) expires: Option<Timestamp>,
    /// How counters stand, in their own measure.
    counted: Vec<String>,
    /// What was written about a hold.
    written: Option<String>,
}

// === impl Told ===

impl Told {
    /// How the counters of these draws stand; none where the answer is not about as many.
    pub(super) fn standings(&self, draws: &[Draw]) -> Option<Vec<Standing>> {
        let of = |counted: &String| Some(Standing { counted: counted.parse().ok()?, at: self.at });
        (self.counted.len() == draws.len()).then(|| self.counted.iter().map(of).collect())?
    }

    /// The hold that was taken before under this id: `AT EXPIRES DRAWS`.
    pub(super) fn hold(&self, id: Uuid) -> Option<Hold> {
        let mut parts = self.written.as_deref()?.splitn(3, ' ');
        let (at, expires) = (time(parts.next()?)?, time(parts.next()?)?);
        Some(Hold { id, at, expires, draws: serde_json::from_str(parts.next()?).ok()? })
    }
}

impl FromRedisValue for Told {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let parts: Vec<Value> = Vec::from_redis_value(value)?;
        let mut parts = parts.into_iter();
        let mut text = |what: &'static str| match parts.next() {
            Some(part) => String::from_redis_value(part),
            None => Err(ParsingError::from(what)),
        };
        let (word, at) = (text("no word")?, text("no time")?);
        let at = time(&at).ok_or("the time is none")?;
        let mut told = Self { word, at, expires: None, counted: Vec::new(), written: None };
        for part in parts {
            match part {
                Value::Array(counted) => {
                    told.counted = counted.into_iter().map(String::from_redis_value).collect::<Result<_, _>>()?;
                }
                other => {
                    let text = String::from_redis_value(other)?;
                    told.expires = time(&text);
                    told.written = Some(text);
                }
            }
        }
        Ok(told)
    }
}

// === helpers ===

/// Microseconds since 1970.
fn time(text: &str) -> Option<Timestamp> {
    Timestamp::from_microsecond(text.parse().ok()?).ok()
}
