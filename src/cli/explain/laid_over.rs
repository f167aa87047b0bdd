//! The overrides that are laid over a policy's files here, as `tollgate serve` lays them, and those that are set aside.

use jiff::Timestamp;
use serde::Serialize;

use super::Args;
use crate::cli::record::place::{Place, PlaceArgs};
use crate::cli::record::plain::plain;
use crate::cli::record::{Desk, Failure, on_threads};
use crate::overrides::Kept;
use crate::policy::Snapshot;
use crate::policy::overrides::Faulty;

/// What is kept of overrides.
pub(super) enum Stored {
    /// Nobody asks for them: somebody is described, and no store is named.
    Unasked,
    /// These.
    Read(Kept),
    /// They cannot be read, for this reason. Two policies can be held against each other all the same.
    Unread(String),
}

/// An override that is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Aside {
    /// Whom it is about, or the name of the document.
    pub(super) of: String,
    /// What is wrong with it.
    pub(super) fault: String,
}

/// Overrides under two policies.
#[derive(Debug, Default, Serialize)]
pub(super) struct UnderTwo {
    /// Why they cannot be read; none where they are.
    pub(super) unknown: Option<String>,
    /// Those that the policy there is sets aside.
    pub(super) set_aside_before: Vec<Aside>,
    /// Those that the other one does.
    pub(super) set_aside_after: Vec<Aside>,
}

// === impl Stored ===

impl Stored {
    /// Reads them where somebody real is asked about, or the arguments say where they are.
    pub(super) fn read(args: &Args, desk: &mut Desk<'_>) -> Result<Self, Failure> {
        let PlaceArgs { config, data, .. } = &args.place;
        let named = config.is_some() || data.is_some();
        if !named && !args.asks_directory() && args.what_if.is_none() {
            return Ok(Self::Unasked);
        }
        let place = PlaceArgs { config: config.clone(), data: data.clone(), sink: None };
        let kept = on_threads(async {
            let store = Place::named(&place, desk.environment)?.overrides(false).await?;
            Ok(Kept::read(&*store).await?)
        });
        match kept {
            Ok(kept) => Ok(Self::Read(kept)),
            Err(failure @ (Failure::Asked(_) | Failure::Store(_) | Failure::Failed(_))) if args.what_if.is_some() => {
                Ok(Self::Unread(failure.to_string()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// These files with what counts at this moment, and what is set aside.
    pub(super) fn over(&self, files: Snapshot, at: Timestamp) -> (Snapshot, Vec<Aside>) {
        let Self::Read(kept) = self else { return (files, Vec::new()) };
        let (policy, faulty) = kept.over(&files, at);
        let unreadable =
            kept.unreadable.iter().map(|fault| Aside { of: fault.name.to_string(), fault: fault.why.to_string() });
        (policy, faulty.iter().map(Aside::of).chain(unreadable).collect())
    }

    /// Why they cannot be read.
    pub(super) fn unknown(&self) -> Option<String> {
        match self {
            Self::Unread(why) => Some(why.clone()),
            Self::Unasked | Self::Read(_) => None,
        }
    }
}

// === impl Aside ===

impl Aside {
    fn of(faulty: &Faulty) -> Self {
        let fault = faulty.report.faults().first().map(|fault| fault.message.clone());
        Self { of: faulty.principal.to_string(), fault: fault.unwrap_or_default() }
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        format!("{}: {}", plain(&self.of), plain(&self.fault))
    }
}

// === impl UnderTwo ===

impl UnderTwo {
    /// For people, an empty line after it; nothing where there is nothing to say.
    pub(super) fn human(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        let Self { unknown, set_aside_before, set_aside_after } = self;
        if let Some(why) = unknown {
            writeln!(out, "Overrides cannot be read, so that both policies are their files alone: {}", plain(why))?;
        }
        for (which, aside) in [("This policy", set_aside_before), ("The other policy", set_aside_after)] {
            for aside in aside {
                writeln!(out, "{which} sets aside the override of {}", aside.line())?;
            }
        }
        match unknown.is_none() && set_aside_before.is_empty() && set_aside_after.is_empty() {
            true => Ok(()),
            false => writeln!(out),
        }
    }
}
