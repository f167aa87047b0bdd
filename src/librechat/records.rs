//! The documents of LibreChat's database that Tollgate reads (CONTRACT.md A.3, appendix 2).

use serde::Deserialize;

/// The collection of users.
pub const USERS: &str = "users";
/// The collection of groups.
pub const GROUPS: &str = "groups";

/// A document of `users`. `Id` is whatever the driver has for an object id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User<Id> {
    /// The id; the `id` claim of LibreChat's JWT is its hex form.
    #[serde(rename = "_id")]
    pub id: Id,
    /// E-mail address as stored.
    #[serde(default)]
    pub email: Option<String>,
    /// One role. LibreChat writes `USER` where it is missing.
    #[serde(default)]
    pub role: Option<String>,
    /// The id at the identity provider. If set, groups name the user by it and not by [`User::id`].
    #[serde(default, rename = "idOnTheSource")]
    pub id_on_the_source: Option<String>,
    /// The tenant, where LibreChat is run with tenants.
    #[serde(default, rename = "tenantId")]
    pub tenant_id: Option<String>,
    /// Groups of the identity provider's token, as some builds store them at sign-in.
    #[serde(default, rename = "openidGroups")]
    pub openid_groups: Option<Vec<String>>,
}

/// A document of `groups`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Group<Id> {
    /// The id.
    #[serde(rename = "_id")]
    pub id: Id,
    /// The name.
    pub name: String,
    /// Members: `users.idOnTheSource` where set, else the hex form of `users._id`.
    #[serde(default, rename = "memberIds")]
    pub member_ids: Vec<String>,
    /// `local` or `entra`.
    #[serde(default)]
    pub source: Option<String>,
    /// The group's id at the identity provider.
    #[serde(default, rename = "idOnTheSource")]
    pub id_on_the_source: Option<String>,
}

impl<Id> User<Id> {
    /// The one value by which LibreChat finds the user's groups: `idOnTheSource` if set, else the id in hex (CONTRACT.md A.3).
    pub fn member_id<'a>(&'a self, hex_id: &'a str) -> &'a str {
        self.id_on_the_source.as_deref().filter(|id| !id.is_empty()).unwrap_or(hex_id)
    }
}
