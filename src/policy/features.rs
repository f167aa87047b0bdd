//! Parts of LibreChat that a policy opens or closes as a whole: `assistants`, `user_keys`, `system_models`.
//!
//! None of these settings concerns callers without any restriction: they may use everything there is.

use super::merge::Merged;
use super::snapshot::Fallback;
use super::view::{Judged, View};
use super::words::{Feature, RuleId, Surface};

/// The settings, with the names of their statements.
#[derive(Debug)]
pub(super) struct Features {
    assistants: bool,
    assistants_rule: RuleId,
    user_keys: Closable,
    speech: Closable,
}

/// Something that is open unless the policy closes it.
#[derive(Debug)]
struct Closable {
    open: bool,
    rule: RuleId,
}

// === impl Features ===

impl Features {
    pub(super) fn new(merged: &Merged) -> Self {
        let closable = |setting, rule: &str| Closable { open: setting == Fallback::Allow, rule: RuleId::new(rule) };
        Self {
            assistants: merged.assistants,
            assistants_rule: RuleId::new("assistants.enabled"),
            user_keys: closable(merged.user_keys, "user_keys"),
            speech: closable(merged.speech, "system_models.speech"),
        }
    }

    fn of(&self, feature: Feature) -> &Closable {
        match feature {
            Feature::UserKeys => &self.user_keys,
            Feature::Speech => &self.speech,
        }
    }
}

// === impl View, for these parts ===

impl View<'_> {
    /// Whether nothing at all is kept from the caller, without regard to shadow mode.
    pub fn is_unrestricted(&self) -> bool {
        self.openness().is_some()
    }

    /// Whether the caller's assistants are judged model by model: the policy has opened them, and the caller is one from whom
    /// a model may be kept, but no tool, as the tools of an assistant are at the provider. Everybody else has all assistants
    /// or none.
    pub fn judges_assistants(&self) -> bool {
        self.features().assistants && !self.judge_surface(Surface::Assistants).allowed && !self.limits_tools()
    }

    /// Judges a model that assistants would run, without regard to shadow mode.
    pub(super) fn judge_assistant(&self, endpoint: &str, model: &str) -> Judged<'_> {
        if self.judges_assistants() { self.judge(endpoint, model) } else { self.judge_surface(Surface::Assistants) }
    }

    /// Judges an endpoint without a model: whether any model of it may be allowed, without regard to shadow mode.
    pub(super) fn judge_endpoint(&self, endpoint: &str) -> Judged<'_> {
        match endpoint {
            "agents" => self.judge_agents(),
            "assistants" | "azureAssistants" if !self.judges_assistants() => self.judge_surface(Surface::Assistants),
            _ => self.judge_any_model(endpoint),
        }
    }

    /// Judges something that a policy may close, without regard to shadow mode.
    pub(super) fn judge_feature(&self, feature: Feature) -> Judged<'_> {
        let setting = self.features().of(feature);
        match self.openness() {
            Some(rule) => Judged { allowed: true, rule },
            None => Judged { allowed: setting.open, rule: &setting.rule },
        }
    }

    /// What holds for a part of LibreChat: closed, open, or open to what is judged model by model.
    pub(super) fn standing(&self, surface: Surface) -> Judged<'_> {
        if surface == Surface::Assistants && self.judges_assistants() {
            return Judged { allowed: true, rule: &self.features().assistants_rule };
        }
        self.judge_surface(surface)
    }

    fn features(&self) -> &Features {
        self.snapshot.features()
    }
}
