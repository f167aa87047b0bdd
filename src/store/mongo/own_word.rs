//! What LibreChat's own database says about somebody beside role and groups: where the account is, what the role may do, and which
//! settings are laid over for this person (CONTRACT.md A.3, F). For the command line: no request asks this.

use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::{Collection, Database};
use serde::Deserialize;

use super::directory::fields;
use super::plain::plain;
use super::{OPERATION, accounts};
use crate::store::{Fields, object_id};

/// LibreChat's role for what holds for everybody (CONTRACT.md F).
const BASE: &str = "__base__";

/// Most overrides that are looked at.
const MOST_OVERRIDES: i64 = 200;

/// What LibreChat keeps about somebody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnWord {
    /// `username`, `provider`, `openidId`, `openidIssuer`, `idOnTheSource`, `openidGroups` and `tenantId`, as far as they are there.
    pub user: Fields,
    /// The documents of the role, with `permissions`: none where LibreChat has not made it; several where tenants share the database.
    pub roles: Vec<Fields>,
    /// The overrides of settings that apply, with `principalType`, `principalId`, `priority` and `overrides`: the weakest first.
    pub overrides: Vec<Fields>,
    /// The balances; there should be one at most.
    pub balances: Vec<Fields>,
}

#[derive(Deserialize)]
struct GroupId {
    #[serde(rename = "_id")]
    id: ObjectId,
}

/// Reads it.
pub(super) async fn of(librechat: &Database, id: &str) -> Result<Option<OwnWord>, Error> {
    let Some(id) = object_id(id) else { return Ok(None) };
    let Ok(oid) = ObjectId::parse_str(&id) else { return Ok(None) };
    let users: Collection<Document> = librechat.collection("users");
    let names =
        ["username", "provider", "openidId", "openidIssuer", "idOnTheSource", "openidGroups", "tenantId", "role"];
    let user = users.find_one(doc! {"_id": oid}).projection(fields(&names)).max_time(OPERATION).await?;
    let Some(user) = user else { return Ok(None) };
    let text = |name: &str| user.get_str(name).ok().filter(|text| !text.is_empty()).map(str::to_owned);
    let (role, tenant) = (text("role").unwrap_or_else(|| "USER".into()), text("tenantId"));
    let of_tenant = |mut filter: Document| {
        if let Some(tenant) = &tenant {
            filter.insert("tenantId", tenant);
        }
        filter
    };
    let roles: Collection<Document> = librechat.collection("roles");
    let roles = roles
        .find(of_tenant(doc! {"name": {"$eq": &role}}))
        .projection(fields(&["name", "permissions"]))
        .limit(10)
        .max_time(OPERATION)
        .await?;
    let member = text("idOnTheSource").unwrap_or(id.clone());
    let groups: Collection<GroupId> = librechat.collection("groups");
    let groups: Vec<GroupId> = groups
        .find(doc! {"memberIds": member})
        .projection(doc! {"_id": 1})
        .max_time(OPERATION)
        .await?
        .try_collect()
        .await?;
    // An id may be kept as what it is, or as its text.
    let either = |id: ObjectId| [Bson::ObjectId(id), Bson::String(id.to_hex())];
    let groups: Vec<Bson> = groups.iter().flat_map(|group| either(group.id)).collect();
    let principals = [
        doc! {"principalType": "role", "principalId": {"$in": [BASE, role.as_str()]}},
        doc! {"principalType": "group", "principalId": {"$in": groups}},
        doc! {"principalType": "user", "principalId": {"$in": either(oid).to_vec()}},
        doc! {"principalType": "public"},
    ];
    let configs: Collection<Document> = librechat.collection("configs");
    let overrides = configs
        .find(of_tenant(doc! {"isActive": true, "$or": principals.to_vec()}))
        .projection(fields(&["principalType", "principalId", "priority", "overrides"]))
        .sort(doc! {"priority": 1, "_id": 1})
        .limit(MOST_OVERRIDES)
        .max_time(OPERATION)
        .await?;
    Ok(Some(OwnWord {
        roles: roles.map_ok(plain).try_collect().await?,
        overrides: overrides.map_ok(plain).try_collect().await?,
        balances: accounts::balances(librechat, &id).await?,
        user: plain(user),
    }))
}
