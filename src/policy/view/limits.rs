//! The limits that hold for one caller.
//!
//! 1. A limit of 0 closes what it is about. It is a denial, and holds whatever else is written.
//! 2. Limits that several people share (`per: role`, `group`, `global`) hold for all of them.
//! 3. Where two limits `per: user` say the same (measure, window and scope), the nearer one stands in for the other: the
//!    user's before the groups', these before the role's, that before the one at the top level. Of several groups all hold.
//! 4. `limits: none` lifts what is written farther away; that of a document only what each user has for themselves.
//! 5. A limit that a document of the caller's changes is what it is changed to. One that a document adds stands where an entry of
//!    whom the document is about would.
//! 6. The defaults are the farthest. One of 0 is no denial: it is what somebody has who is given nothing else.

use super::super::limits::{Limit, Limits, Per};
use super::super::overrides::Kind;
use super::super::snapshot::Mode;
use super::View;

/// A limit that is written for a caller, and whether it counts.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Standing<'a> {
    pub(in crate::policy) limit: &'a Limit,
    pub(in crate::policy) counts: bool,
}

impl View<'_> {
    /// All limits that are written for the caller, each once: the user's, the groups', the role's, those at the top level,
    /// the defaults;
    /// within each of these by their ids, so that the order of groups and files decides nothing.
    pub(in crate::policy) fn limits(&self) -> Vec<Standing<'_>> {
        let new = |kind| self.overlay.as_deref().map(|overlay| overlay.new_limits(kind));
        let users: Vec<_> = self.users().map(|rules| &rules.limits).chain(new(Kind::User)).collect();
        let groups: Vec<_> = self.groups.iter().map(|rules| &rules.limits).chain(new(Kind::Group)).collect();
        let role: Vec<_> = self.role.iter().map(|rules| &rules.limits).chain(new(Kind::Role)).collect();
        let everybody = vec![self.snapshot.top_limits()];
        let mut standings: Vec<Standing<'_>> = Vec::new();
        let (mut lifted, mut lifted_of_users) = (false, false);
        let documents = [Some(Kind::User), Some(Kind::Group), Some(Kind::Role), None, None];
        let levels = [(users, true), (groups, true), (role, true), (everybody, true)];
        let levels = levels.into_iter().chain([(vec![self.snapshot.default_limits()], false)]);
        for ((level, denies), kind) in levels.zip(documents) {
            let nearer = standings.len();
            for limit in sorted(&level) {
                let limit = self.overlay.as_deref().map_or(limit, |overlay| overlay.changed(limit));
                let is_lifted = lifted || (lifted_of_users && limit.per == Per::User);
                let counts = (denies && limit.closes()) || !(is_lifted || is_replaced(limit, standings.get(..nearer)));
                standings.push(Standing { limit, counts });
            }
            let of_document = |limits: &Limits| {
                let own = kind.and_then(|kind| self.overlay.as_deref().map(|overlay| overlay.new_limits(kind)));
                own.is_some_and(|own| std::ptr::eq(own, limits))
            };
            lifted |= level.iter().any(|limits| limits.none && !of_document(limits));
            lifted_of_users |= level.iter().any(|limits| limits.none && of_document(limits));
        }
        standings
    }
}

/// Whether a nearer limit stands in for this one. One that only records stands in for no other that refuses.
fn is_replaced(limit: &Limit, nearer: Option<&[Standing<'_>]>) -> bool {
    let refuses = |of: &Limit| of.terms.mode == Mode::Enforce;
    let stands_in =
        |other: &Limit| other.per == Per::User && other.says_the_same(limit) && (refuses(other) || !refuses(limit));
    limit.per == Per::User && nearer.into_iter().flatten().any(|near| near.counts && stands_in(near.limit))
}

/// The limits of one level. A group that a caller has twice, or a user who is named twice, has its limits once.
fn sorted<'a>(level: &[&'a Limits]) -> Vec<&'a Limit> {
    let mut limits: Vec<&Limit> = level.iter().flat_map(|limits| &limits.list).collect();
    limits.sort_by(|a, b| a.id.cmp(&b.id));
    limits.dedup_by(|a, b| a.id == b.id);
    limits
}
