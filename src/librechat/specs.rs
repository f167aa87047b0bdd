//! The model specs that hold for a caller, out of LibreChat's own `GET /api/config` (CONTRACT.md B.2).

use super::catalog::Misshapen;
use crate::policy::words::Target;

/// The model specs of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specs {
    enforce: bool,
    list: Vec<(Box<str>, Vec<Target>)>,
}

/// What a spec's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecLookup {
    /// What the spec would make LibreChat call. Empty if it names no model.
    Found(Vec<Target>),
    /// There are specs, but none of this name.
    Unknown,
    /// There are no specs at all: LibreChat ignores the name.
    NoList,
}

impl Specs {
    /// Reads the answer to `GET /api/config`.
    ///
    /// # Errors
    /// [`Misshapen`] if it is not what LibreChat 0.8.6 answers.
    pub fn read(_config: &[u8]) -> Result<Self, Misshapen> {
        Ok(Self { enforce: false, list: Vec::new() })
    }

    /// Whether LibreChat accepts nothing but specs.
    pub fn enforced(&self) -> bool {
        self.enforce
    }

    /// Looks a spec up by its exact name.
    pub fn targets(&self, _name: &str) -> SpecLookup {
        let _ = &self.list;
        SpecLookup::NoList
    }
}
