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

#[cfg(test)]
mod tests {
    use super::*;

    /// MongoDB's extended JSON for an object id.
    #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
    struct Oid {
        #[serde(rename = "$oid")]
        hex: String,
    }

    #[test]
    fn captured_users_and_groups_are_read() {
        let users: Vec<User<Oid>> =
            serde_json::from_str(include_str!("../../tests/captures/mongo/users.json")).unwrap();
        let read: Vec<_> = users
            .iter()
            .map(|user| (user.id.hex.as_str(), user.email.as_deref().unwrap(), user.role.as_deref().unwrap()))
            .collect();
        assert_eq!(
            read,
            [
                ("6b012e6f09cc968f8a929249", "viewer@lab.test", "USER"),
                ("6b012e4109cc968f8a928bce", "user@lab.test", "USER"),
                ("6b012e4109cc968f8a928bc1", "admin@lab.test", "ADMIN"),
            ]
        );
        let groups: Vec<Group<Oid>> =
            serde_json::from_str(include_str!("../../tests/captures/mongo/groups.json")).unwrap();
        let [group] = &groups[..] else { panic!("{groups:?}") };
        assert_eq!((group.name.as_str(), group.source.as_deref()), ("lab-group", Some("local")));
        let members: Vec<&str> = users
            .iter()
            .filter(|user| group.member_ids.iter().any(|member| member == user.member_id(&user.id.hex)))
            .map(|user| user.email.as_deref().unwrap())
            .collect();
        assert_eq!(members, ["user@lab.test"]);
    }

    #[test]
    fn everything_but_the_id_may_be_missing() {
        let user: User<String> = serde_json::from_str(r#"{"_id":"6b01"}"#).unwrap();
        assert_eq!((user.role, user.email, user.id_on_the_source), (None, None, None));
        let user: User<String> = serde_json::from_str(
            r#"{"_id":"6b01","role":null,"idOnTheSource":"oid-1","tenantId":"t","openidGroups":["a"],"other":1}"#,
        )
        .unwrap();
        assert_eq!(user.member_id("6b01"), "oid-1");
        assert_eq!((user.tenant_id.as_deref(), user.openid_groups), (Some("t"), Some(vec!["a".to_owned()])));
        let user: User<String> = serde_json::from_str(r#"{"_id":"6b01","idOnTheSource":""}"#).unwrap();
        assert_eq!(user.member_id("6b01"), "6b01", "an empty id is none");
    }
}
