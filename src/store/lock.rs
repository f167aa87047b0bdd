//! Locks on files that belong to one process at a time: what is kept in the data directory.

use std::fs::{File, TryLockError};
use std::thread::sleep;
use std::time::Duration;

/// How often a lock that somebody has is looked at before it counts as taken, and the pause between two looks: half a second.
const LOOKS: u32 = 25;
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// Locks an open file for this process, until it is closed. Blocks for half a second where somebody has it, for that may be a
/// process that is just ending, or a child of its that has not yet closed what it inherited.
///
/// # Errors
/// [`TryLockError::WouldBlock`] where somebody still has it, else what the operating system says.
pub(super) fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => sleep(LOOK),
            done => return done,
        }
    }
    file.try_lock()
}
