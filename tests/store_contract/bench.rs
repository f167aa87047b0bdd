//! A store on the bench: filled with the captured people, changed as LibreChat or an operator would change it, read beside it.

use async_trait::async_trait;
use tollgate::store::overrides::Overrides;
use tollgate::store::{Directory, Ledger};

pub(crate) mod embedded;
pub(crate) mod entries;
pub(crate) mod mongo;

/// A captured user who is a member of `lab-group`.
pub(crate) const USER: &str = "6b012e4109cc968f8a928bce";
/// A captured administrator.
pub(crate) const ADMIN: &str = "6b012e4109cc968f8a928bc1";
/// A captured user without a group.
pub(crate) const VIEWER: &str = "6b012e6f09cc968f8a929249";

/// The captured `users` and `groups`, in MongoDB's extended JSON.
pub(crate) const USERS: &str = include_str!("../captures/mongo/users.json");
/// See [`USERS`].
pub(crate) const GROUPS: &str = include_str!("../captures/mongo/groups.json");

/// What the checks may do with a store.
#[async_trait]
pub(crate) trait Bench: Sync {
    fn directory(&self) -> &dyn Directory;
    fn ledger(&self) -> &dyn Ledger;
    fn overrides(&self) -> &dyn Overrides;

    /// Gives a person this role and this address, or takes them away.
    async fn change(&self, id: &str, role: Option<&str>, email: Option<&str>);
    /// Removes a person.
    async fn remove(&self, id: &str);
    /// Makes a person a member of a group, which is made where it is missing.
    async fn join(&self, id: &str, group: &str);
    /// Ends a membership.
    async fn leave(&self, id: &str, group: &str);
    /// Gives a person this account (issuer and subject) at an identity provider, or takes the one there is away.
    async fn link(&self, id: &str, account: Option<(&str, &str)>);
    /// The ids of the audit and usage entries, each in the order they were stored.
    async fn stored(&self) -> (Vec<u128>, Vec<u128>);
    /// Puts an override of a user there by hand, with so many mappings in each other, or one text of so many bytes.
    async fn write_override(&self, id: &str, depth: usize, bytes: usize);
    /// Takes all usage entries away, as their age does.
    async fn lose_entries(&self);
    /// Makes the sums of this key unreadable, and their number of calls no number.
    async fn spoil_day(&self, key: &str);
    /// All that is kept of the record, as text.
    async fn raw(&self) -> String;
}
