//! What another policy would change.
use super::Args;
use crate::cli::exit::Exit;
use crate::cli::record::{Desk, Failure};
use crate::policy::Snapshot;
pub(super) async fn run(_args: &Args, _policy: &Snapshot, _other: &Snapshot, _desk: &mut Desk<'_>) -> Result<Exit, Failure> { Ok(Exit::Ok) }
