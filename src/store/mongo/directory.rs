//! Who someone is, as LibreChat's own code reads it (CONTRACT.md A.3).

use std::collections::HashMap;

use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use serde::Deserialize;

use super::{OPERATION, SEARCH};
use crate::store::subject::{Field, Link, Question};
use crate::store::{Holder, Person, Subject, object_id};

/// An id that no user has: ObjectIds begin with the time they were made.
pub(super) const NOBODY: &str = "000000000000000000000000";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    email: Option<String>,
    role: Option<String>,
    id_on_the_source: Option<String>,
    /// Written at sign-in by LibreChat versions that take groups from the identity provider's token.
    openid_groups: Option<Vec<String>>,
}

/// Somebody, and whose record it is.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "_id")]
    id: ObjectId,
    #[serde(flatten)]
    user: User,
}

/// A group, and those of its members who were asked about.
#[derive(Deserialize)]
struct Members {
    name: Option<String>,
    members: Vec<String>,
}

/// What [`Subject::owns`] needs, and whose record it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linked {
    #[serde(rename = "_id")]
    id: ObjectId,
    provider: Option<String>,
    openid_id: Option<String>,
    openid_issuer: Option<String>,
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "_id")]
    id: ObjectId,
}

#[derive(Deserialize)]
struct Group {
    name: Option<String>,
}

pub(super) async fn person(librechat: &Database, id: &str) -> Result<Option<Person>, Error> {
    let Some(id) = object_id(id) else { return Ok(None) };
    let Ok(oid) = ObjectId::parse_str(&id) else { return Ok(None) };
    let user = librechat
        .collection::<User>("users")
        .find_one(doc! {"_id": oid})
        .projection(fields(&["email", "role", "idOnTheSource", "openidGroups"]))
        .max_time(OPERATION)
        .await?;
    let Some(user) = user else { return Ok(None) };
    // One or the other, never both: an empty `idOnTheSource` is none, as it is in JavaScript.
    let member = present(user.id_on_the_source).unwrap_or_else(|| id.clone());
    let mut groups: Vec<Box<str>> = librechat
        .collection::<Group>("groups")
        .find(doc! {"memberIds": member})
        .projection(fields(&["name"]))
        .max_time(OPERATION)
        .await?
        .try_filter_map(async |group: Group| Ok(group.name.map(Box::from)))
        .try_collect()
        .await?;
    groups.extend(user.openid_groups.into_iter().flatten().map(Box::from));
    groups.sort_unstable();
    groups.dedup();
    Ok(Some(Person {
        id: id.into(),
        email: present(user.email).map(|email| email.to_lowercase().into()),
        role: present(user.role).map(Box::from),
        groups,
    }))
}

/// At most so many people by their ids, those after this one where one is given. Two questions, however many they are: of a group's
/// members only those who are asked about come back.
pub(super) async fn people_after(librechat: &Database, after: Option<&str>, most: usize) -> Result<Vec<Person>, Error> {
    let after = after.and_then(|id| ObjectId::parse_str(id).ok());
    let users: Vec<Listed> = librechat
        .collection::<Listed>("users")
        .find(after.map_or_else(Document::new, |after| doc! {"_id": {"$gt": after}}))
        .projection(doc! {"_id": 1, "email": 1, "role": 1, "idOnTheSource": 1, "openidGroups": 1})
        .sort(doc! {"_id": 1})
        .limit(i64::try_from(most).unwrap_or(i64::MAX))
        .max_time(SEARCH)
        .await?
        .try_collect()
        .await?;
    let member = |user: &Listed| present(user.user.id_on_the_source.clone()).unwrap_or_else(|| user.id.to_hex());
    let members: Vec<String> = users.iter().map(member).collect();
    let mut groups: HashMap<String, Vec<Box<str>>> = HashMap::new();
    let mut found = librechat
        .collection::<Document>("groups")
        .aggregate([
            doc! {"$match": {"memberIds": {"$in": &members}}},
            doc! {"$project": {"_id": 0, "name": 1, "members": {"$setIntersection": ["$memberIds", &members]}}},
        ])
        .with_type::<Members>()
        .max_time(SEARCH)
        .await?;
    while let Some(group) = found.try_next().await? {
        let Some(name) = group.name else { continue };
        for member in group.members {
            groups.entry(member).or_default().push(name.as_str().into());
        }
    }
    let person = |(user, member): (Listed, String)| {
        let mut groups = groups.get(&member).cloned().unwrap_or_default();
        groups.extend(user.user.openid_groups.into_iter().flatten().map(Box::from));
        groups.sort_unstable();
        groups.dedup();
        Person {
            id: user.id.to_hex().into(),
            email: present(user.user.email).map(|email| email.to_lowercase().into()),
            role: present(user.user.role).map(Box::from),
            groups,
        }
    };
    Ok(users.into_iter().zip(members).map(person).collect())
}

pub(super) async fn holder(librechat: &Database, subject: &Subject) -> Result<Holder, Error> {
    for question in subject.questions() {
        let found: Vec<Linked> = librechat
            .collection::<Linked>("users")
            .find(filter(&question))
            .projection(doc! {"_id": 1, "provider": 1, "openidId": 1, "openidIssuer": 1})
            .limit(2)
            .max_time(OPERATION)
            .await?
            .try_collect()
            .await?;
        let mut found = found.into_iter();
        let (Some(user), second) = (found.next(), found.next()) else { continue };
        let link = Link { provider: user.provider, openid_id: user.openid_id, openid_issuer: user.openid_issuer };
        // Of two such records LibreChat would take whichever the database gives first.
        if second.is_some() || !subject.owns(question.field, &link) {
            return Ok(Holder::Unlinked);
        }
        // Read anew by its id, so that there is one way to role and groups; who is removed meanwhile is nobody.
        let person = person(librechat, &user.id.to_hex()).await?;
        return Ok(person.map_or(Holder::Nobody, Holder::Known));
    }
    Ok(Holder::Nobody)
}

/// LibreChat keeps addresses in lower case, and at most one of each in a tenant.
pub(super) async fn people_with(librechat: &Database, email: &str) -> Result<Vec<Box<str>>, Error> {
    librechat
        .collection::<Id>("users")
        .find(doc! {"email": {"$eq": email}})
        .projection(doc! {"_id": 1})
        .limit(10)
        .max_time(OPERATION)
        .await?
        .map_ok(|user| user.id.to_hex().into())
        .try_collect()
        .await
}

/// LibreChat keeps names of users in lower case, and does not keep two people from having the same.
pub(super) async fn people_called(librechat: &Database, name: &str) -> Result<Vec<Box<str>>, Error> {
    librechat
        .collection::<Id>("users")
        .find(doc! {"username": {"$in": [name, name.to_lowercase()]}})
        .projection(doc! {"_id": 1})
        .limit(10)
        .max_time(OPERATION)
        .await?
        .map_ok(|user| user.id.to_hex().into())
        .try_collect()
        .await
}

fn filter(question: &Question<'_>) -> Document {
    let field = match question.field {
        Field::OpenidId => "openidId",
        Field::IdOnTheSource => "idOnTheSource",
        Field::Email => return doc! {"email": {"$eq": question.value}},
    };
    let issuer = match question.issuer {
        Some(issuer) => doc! {"$eq": issuer},
        // `null` also stands for a field that is not there.
        None => doc! {"$in": [null, ""]},
    };
    doc! {field: {"$eq": question.value}, "openidIssuer": issuer}
}

/// A projection on these fields and no others.
pub(super) fn fields(names: &[&str]) -> Document {
    let mut projection = doc! {"_id": 0};
    projection.extend(names.iter().map(|name| ((*name).to_owned(), 1.into())));
    projection
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
