//! What a command has done to Tollgate, written straight into the ledger: an event in a chain of its own, with a signed head.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::Failure;
use crate::record::chain::Chain;
use crate::record::heads::Signer;
use crate::record::linker;
use crate::record::{About, Category, Entry, Event, Happened, Severity};
use crate::store::Ledger;
use crate::store::own::{self, DiskFault};

/// Where the record's keys are in the data directory.
pub const SIGNING_KEY: &str = "records/signing.key";
/// The public half.
pub const PUBLIC_KEY: &str = "records/signing.pub";

/// Who did it: whoever may run commands.
const ACTOR: &str = "cli";

/// Something that an administrator has done, to this user where it was done to one.
pub fn deed(id: Uuid, at: Timestamp, action: Happened, user: Option<&str>, about: About) -> Entry {
    Entry::Event(Box::new(Event {
        id,
        timestamp: at,
        user_id: user.map(Into::into),
        actor: Some(ACTOR.into()),
        action,
        // Whose data goes matters more to who looks for it than who did that.
        category: if action == Happened::Erased { Category::Data } else { Category::Admin },
        severity: Severity::Warning,
        policy_revision: None,
        about,
    }))
}

/// Writes an event straight into the ledger of this name, in a chain of its own. Before it stand the ends of the instances that the
/// ledger has: whoever removes one of them has to remove this one, too.
///
/// # Errors
/// [`Failure`] where it cannot be chained, or the ledger does not take it. It can be written again.
pub async fn write(event: &Entry, (store, ledger): (&str, &Arc<dyn Ledger>), signer: &Signer) -> Result<(), Failure> {
    let fault = |error: String| Failure::Failed(format!("the event cannot be written: {error}"));
    let line = event.line().map_err(|error| fault(error.to_string()))?;
    let mut chain = Chain::new(Uuid::now_v7());
    let mut kept = Vec::new();
    let ends = linker::ends(ledger.as_ref()).await?;
    if !ends.is_empty() {
        let named = linker::event(line.at, store, ends).line().map_err(|error| fault(error.to_string()))?;
        kept.push(chain.link(&named).map_err(|error| fault(error.to_string()))?);
    }
    kept.push(chain.link(&line).map_err(|error| fault(error.to_string()))?);
    kept.push(chain.head(signer, Uuid::now_v7(), line.at).map_err(|error| fault(error.to_string()))?);
    Ok(ledger.append(&kept).await?)
}

/// Opens the key that signs: this file, or the data directory's own.
///
/// # Errors
/// [`Failure`] where it is not there or is no key.
pub fn signer(named: Option<&Path>, data: &Path) -> Result<Signer, Failure> {
    let path = named.map_or_else(|| data.join(SIGNING_KEY), Path::to_owned);
    if !path.exists() {
        return Err(Failure::Failed(format!(
            "there is no signing key {}; a running Tollgate makes one in its data directory: name that with --data, or the key with --signing-key",
            path.display()
        )));
    }
    Signer::open(&path).map_err(|error| Failure::Failed(error.to_string()))
}

/// The same in this data directory, and where it has no key yet, a new one: that which Tollgate goes on with.
///
/// # Errors
/// [`Failure`] where it is no key, or none can be made.
pub fn signer_or_new(data: &Path) -> Result<Signer, Failure> {
    let fault = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let path = data.join(SIGNING_KEY);
    if let Some(directory) = path.parent() {
        own::make_directory(directory).map_err(|error| fault(&DiskFault::new(directory, &error)))?;
    }
    let signer = Signer::open_or_make(&path).map_err(|error| fault(&error))?;
    signer.publish(&data.join(PUBLIC_KEY)).map_err(|error| fault(&error))?;
    Ok(signer)
}
