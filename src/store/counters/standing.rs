//! Where a counter stands, and what that means for a draw: exact, in units × the draw's scale.

use jiff::Timestamp;

use super::{Draw, Lack, Measure, Use};

/// What counts against a draw's ceiling at one moment, held amounts too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) counted: u128,
    pub(crate) at: Timestamp,
}

// === impl Draw ===

impl Draw {
    /// What one unit is in the counter's own measure: a rate counts in units × microseconds.
    pub(crate) fn scale(&self) -> u128 {
        match self.measure {
            Measure::Rate { window } => window.as_micros(),
            Measure::Spend { .. } | Measure::Open => 1,
        }
    }

    /// This many units in the counter's own measure.
    pub(crate) fn cost(&self, amount: u64) -> u128 {
        u128::from(amount).saturating_mul(self.scale())
    }

    /// What leaks in a microsecond.
    pub(crate) fn rate(&self) -> u64 {
        match self.measure {
            Measure::Rate { .. } => self.ceiling,
            Measure::Spend { .. } | Measure::Open => 0,
        }
    }

    /// Whether the draw is from the counter of the window that this moment lies in.
    pub(crate) fn is_of(&self, now: Timestamp) -> bool {
        match self.measure {
            Measure::Spend { from, until } => from <= now && now < until,
            Measure::Rate { .. } | Measure::Open => true,
        }
    }
}

// === impl Standing ===

impl Standing {
    /// What does not fit, and when it would; none where it fits.
    pub(crate) fn lack(self, index: usize, draw: &Draw) -> Option<Lack> {
        let (full, cost) = (draw.cost(draw.ceiling), draw.cost(draw.amount));
        let too_much = self.counted.saturating_add(cost).checked_sub(full).filter(|over| *over > 0)?;
        let left = full.saturating_sub(self.counted) / draw.scale().max(1);
        let resets = match draw.measure {
            Measure::Spend { until, .. } => Some(until),
            Measure::Rate { .. } if draw.amount > draw.ceiling => None,
            Measure::Rate { .. } => self.after(too_much, draw.rate()),
            Measure::Open => None,
        };
        Some(Lack { draw: index, left: narrow(left), resets })
    }

    /// With so much more.
    pub(crate) fn and(self, more: u128) -> Self {
        Self { counted: self.counted.saturating_add(more), ..self }
    }

    /// What is used.
    pub(crate) fn used(self, draw: &Draw) -> Use {
        let resets = match draw.measure {
            Measure::Spend { until, .. } => Some(until),
            Measure::Rate { .. } => self.after(self.counted, draw.rate()),
            Measure::Open => None,
        };
        Use { used: narrow(self.counted.div_ceil(draw.scale().max(1))), resets }
    }

    /// When so much has leaked.
    fn after(self, amount: u128, rate: u64) -> Option<Timestamp> {
        let microseconds = (rate > 0).then(|| amount.div_ceil(rate.into()))?;
        let microseconds = i64::try_from(microseconds).ok()?.checked_add(self.at.as_microsecond())?;
        Timestamp::from_microsecond(microseconds).ok()
    }
}

// === helpers ===

fn narrow(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

/// Numbers of 128 bits as text in decimal digits: JSON's readers keep 64.
pub(super) mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(number: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }

    /// See above.
    pub(crate) mod option {
        use super::{Deserialize, Deserializer, Error, Serializer};

        pub(crate) fn serialize<S: Serializer>(number: &Option<u128>, to: S) -> Result<S::Ok, S::Error> {
            match number {
                Some(number) => to.serialize_some(&number.to_string()),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u128>, D::Error> {
            Option::<String>::deserialize(from)?.map(|number| number.parse().map_err(D::Error::custom)).transpose()
        }
    }
}
