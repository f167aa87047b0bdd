//! Whether there is anybody whom a new override is about: a name that is misspelt changes nothing for anybody.

use crate::cli::record::Failure;
use crate::cli::record::place::Place;
use crate::policy::Snapshot;
use crate::policy::overrides::{Kind, Principal};
use crate::report::quoted;

/// So many people are looked at together.
const PAGE: usize = 1_000;

/// Roles that every LibreChat has (CONTRACT.md D.1).
const BUILT_IN: [&str; 2] = ["USER", "ADMIN"];

/// What to say where neither the files nor the directory know whom an override is about. Nothing is refused for it: somebody may come
/// tomorrow, and groups of an identity provider stand in no directory.
pub(super) async fn warning(principal: &Principal, files: &Snapshot, place: &mut Place) -> Option<String> {
    match is_known(principal, files, place).await {
        Ok(true) => None,
        Ok(false) => Some(format!(
            "neither the policy's files nor the directory know the {} {}: the override changes nothing until somebody is that",
            principal.kind,
            quoted(&principal.id)
        )),
        Err(failure) => {
            Some(format!("whether there is anybody whom the override is about could not be looked up: {failure}"))
        }
    }
}

async fn is_known(principal: &Principal, files: &Snapshot, place: &mut Place) -> Result<bool, Failure> {
    let Principal { kind, id } = principal;
    if files.names(principal) || *kind == Kind::Role && BUILT_IN.contains(&&**id) {
        return Ok(true);
    }
    let people = place.people().await?;
    if *kind == Kind::User {
        return Ok(people.person(id).await?.is_some());
    }
    let mut last: Option<Box<str>> = None;
    loop {
        let page = people.after(last.as_deref(), PAGE).await?;
        let is_one = page.iter().any(|person| match kind {
            Kind::Role => person.role.as_deref() == Some(&**id),
            Kind::Group => person.groups.contains(id),
            Kind::User => false,
        });
        match page.last() {
            Some(person) if !is_one => last = Some(person.id.clone()),
            _ => return Ok(is_one),
        }
    }
}
