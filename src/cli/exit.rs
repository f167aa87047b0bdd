//! How a command ends, for scripts.

use std::process::ExitCode;

/// The exit codes of all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked.
    Ok = 0,
    /// It could not; `test`: a case fails.
    Failed = 1,
    /// `explain`: the policy denies what was asked about.
    Denied = 2,
    /// `audit verify`: nothing is wrong, and nobody has signed the last entries.
    Unsigned = 3,
    /// The command line, the settings or the policy have faults (`EX_USAGE` of sysexits.h).
    Usage = 64,
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<std::io::Result<Exit>> for Exit {
    /// An answer that could not be printed is a failure.
    fn from(result: std::io::Result<Self>) -> Self {
        result.unwrap_or(Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_the_documented_ones() {
        let codes = [Exit::Ok, Exit::Failed, Exit::Denied, Exit::Unsigned, Exit::Usage].map(|exit| exit as u8);
        assert_eq!(codes, [0, 1, 2, 3, 64]);
    }
}
