//! What is done about LibreChat's balances.

use super::super::written;
use super::{Reader, Value, shown};
use crate::flow::BalanceUse;

// === impl Reader, for balances ===

impl Reader<'_> {
    /// `balance.check` (`TOLLGATE_BALANCE`) and `balance.show`.
    pub(super) fn balance(&mut self, written: written::Balance) -> BalanceUse {
        let check = self.variable(written.check, "TOLLGATE_BALANCE");
        let show = written.show.map(|spanned| self.in_file(spanned));
        BalanceUse {
            check: self.either("balance.check", check, ["off", "auto"]).unwrap_or(true),
            show_own: self.either("balance.show", show, ["librechat", "tollgate"]).unwrap_or(false),
        }
    }

    /// Whether the second of two words was chosen; none where nothing was, or neither.
    fn either(&mut self, name: &str, value: Option<Value>, [first, second]: [&str; 2]) -> Option<bool> {
        let value = value?;
        match value.text.trim() {
            text if text == first => Some(false),
            text if text == second => Some(true),
            other => {
                let message = format!("{name}: {} is no choice", shown(other));
                self.blame(&value.origin, "setting-choice", message, &format!("the choices are {first} and {second}"));
                None
            }
        }
    }
}
