//! SQLite's errors in words an operator can act on.

use std::fmt::Display;
use std::path::Path;

use rusqlite::ErrorCode;

use super::BUSY;
use crate::store::StoreError;

/// What went wrong with the file.
pub(super) fn fault(file: &Path, error: &rusqlite::Error) -> StoreError {
    let (advice, transient) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let waited = BUSY.as_secs();
            return because(
                file,
                &format_args!("the database is locked: another process has been writing for more than {waited} s"),
                true,
            );
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            ("; the directory and the files in it must be writable by the user that runs tollgate", false)
        }
        Some(ErrorCode::DiskFull) => ("; make room on the disk", true),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            ("; put the file aside and bring back a copy, or start with an empty directory", false)
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => ("", true),
        _ => ("", false),
    };
    because(file, &format_args!("{error}{advice}"), transient)
}

/// An error about the file, in our own words.
pub(super) fn because(file: &Path, why: &dyn Display, transient: bool) -> StoreError {
    StoreError { store: "embedded", message: format!("{}: {why}", file.display()), transient }
}
