//! From charges to draws: each charge's counter at one moment.

use jiff::Timestamp;

use super::window::{OutOfCalendar, around};
use crate::policy::charge::{Charge, Window};
use crate::policy::charges::MOST_TOGETHER;
use crate::store::counters::{Draw, MOST_DRAWS, Measure};

/// Beside the limits of a policy, a turn takes the place of its conversation and from LibreChat's balance, in the same step.
const _: () = assert!(MOST_TOGETHER + 2 == MOST_DRAWS);

/// The last whole second that every store tells exactly: doubles count microseconds up to it (Redis's scripts know no other
/// numbers). In the year 2255.
const END: Timestamp = Timestamp::constant(9_007_199_254, 0);

/// The draws of these charges at this moment, in their order. A counter's name is the charge's key, with the window after it:
/// the same limit in another window, of another length or unit, counts anew, and with another ceiling goes on.
///
/// # Errors
/// [`OutOfCalendar`] where no calendar has the moment.
pub fn plan(charges: &[Charge], at: Timestamp) -> Result<Vec<Draw>, OutOfCalendar> {
    let draw = |charge: &Charge| {
        let (window, measure) = counting(&charge.window, at)?;
        let counter = format!("{}@{window}", charge.key).into();
        Ok(Draw { counter, measure, amount: charge.amount, ceiling: charge.ceiling })
    };
    charges.iter().map(draw).collect()
}

/// The name of the window around a moment, and how its counter counts.
pub(super) fn counting(window: &Window, at: Timestamp) -> Result<(String, Measure), OutOfCalendar> {
    Ok(match window {
        Window::Rolling(window) => (format!("{}us", window.as_micros()), Measure::Rate { window: *window }),
        Window::Calendar { unit, zone } => {
            let window = around(*unit, zone, at)?;
            (window.id, Measure::Spend { from: window.start, until: window.end })
        }
        Window::Open => ("open".to_owned(), Measure::Open),
        Window::Always => ("always".to_owned(), Measure::Spend { from: Timestamp::UNIX_EPOCH, until: END }),
    })
}
