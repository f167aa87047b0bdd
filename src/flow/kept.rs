//! What has to be written down before a request goes on, and what happens where nothing can be.

use super::Spine;
use super::passage::Upstream;
use super::refusal::Refusal;
use super::visit::Visit;
use crate::librechat::routes::Class;
use crate::record::Entry;

impl<U: Upstream> Spine<U> {
    /// Whether what a request on this route is going to leave can be written down.
    pub(super) fn can_be_kept(&self, class: Class) -> Result<(), Refusal> {
        if leaves_an_entry(class) { self.parts.recorder.open().map_err(Refusal::Unrecorded) } else { Ok(()) }
    }

    /// The decision about this visit is on the disk before the request goes to LibreChat. What LibreChat answers is not in it.
    pub(super) async fn keep_ahead(&self, visit: &mut Visit<'_>) -> Result<(), Refusal> {
        match visit.ahead() {
            Some(entry) => self.parts.recorder.record_durably(entry).await.map_err(Refusal::Unrecorded),
            None => Ok(()),
        }
    }

    /// A refusal is written down: where the settings say so and its caller is known, on the disk before it is answered. If that
    /// fails, the refusal that the caller gets in its place.
    pub(super) async fn keep_refusal(&self, visit: &Visit<'_>, refusal: &Refusal, entry: Entry) -> Option<Refusal> {
        let recorder = &self.parts.recorder;
        let waits = recorder.durable().refusals && visit.bearer.is_some();
        if !waits || matches!(refusal, Refusal::Unrecorded(_)) {
            recorder.record(entry);
            return None;
        }
        recorder.record_durably(entry).await.err().map(Refusal::Unrecorded)
    }
}

/// Whether requests on routes of this class leave an entry also when they go on.
fn leaves_an_entry(class: Class) -> bool {
    match class {
        Class::Turn
        | Class::Tool
        | Class::Catalog(_)
        | Class::Remote(_)
        | Class::Agent(_)
        | Class::Assistants(_)
        | Class::Feature(_)
        | Class::Admin
        | Class::Noted(_)
        | Class::Upload => true,
        Class::Pass | Class::Stream | Class::Balance | Class::MyLimits | Class::Closed => false,
    }
}
