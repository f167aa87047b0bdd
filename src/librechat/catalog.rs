//! The answers that reveal models, narrowed to what the caller may see (CONTRACT.md C.1).

use bytes::Bytes;

use crate::policy::words::Sight;

/// An answer of LibreChat that does not have the expected shape. It must not be passed on: nobody can say what it reveals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer to {answer} is not what LibreChat 0.8.6 sends: {what}; check that the upstream is LibreChat")]
pub struct Misshapen {
    /// The route: `GET /api/models`.
    pub answer: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
}

/// The models that LibreChat offers, by endpoint: an unfiltered answer to `GET /api/models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelsAnswer {}

impl ModelsAnswer {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`Misshapen`] if it is not an object of lists of names.
    pub fn read(_body: &[u8]) -> Result<Self, Misshapen> {
        Ok(Self {})
    }
}

/// Narrows the answer to `GET /api/models`.
///
/// # Errors
/// [`Misshapen`]
pub fn filter_models(body: &Bytes, _sight: &dyn Sight) -> Result<Bytes, Misshapen> {
    Ok(body.clone())
}

/// Narrows the answer to `GET /api/endpoints`. Without `models` no endpoint can be shown to have an allowed one, so only
/// the surfaces that the caller may use stay.
///
/// # Errors
/// [`Misshapen`]
pub fn filter_endpoints(body: &Bytes, _models: Option<&ModelsAnswer>, _sight: &dyn Sight) -> Result<Bytes, Misshapen> {
    Ok(body.clone())
}

/// Narrows the answer to `GET /api/config`. `models` is needed only if [`config_needs_models`] says so.
///
/// # Errors
/// [`Misshapen`]
pub fn filter_config(body: &Bytes, _models: Option<&ModelsAnswer>, _sight: &dyn Sight) -> Result<Bytes, Misshapen> {
    Ok(body.clone())
}

/// Whether an answer to `GET /api/config` lists endpoints (`modelSpecs.addedEndpoints`, a rare setting), so that
/// [`filter_config`] has to know LibreChat's models.
pub fn config_needs_models(_body: &[u8]) -> bool {
    false
}
