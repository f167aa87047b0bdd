//! Whom an identity provider's token is about, and which user record LibreChat would take for that person (CONTRACT.md A.2 b).
//!
//! LibreChat looks by several fields in turn and may link or re-link a record on the way. Here the same fields are asked in
//! the same order, but a record that LibreChat would first have to change into somebody's is nobody's: it becomes somebody's
//! when LibreChat itself does that, at sign-in or at the renewal of the token that follows a 401.

use super::Person;

/// The part of an issuer's address that names its own description (OpenID Connect Discovery 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Whom a checked token of the identity provider is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The issuer, as [`normal_issuer`] writes it.
    pub issuer: Box<str>,
    /// The claim `sub`: LibreChat's `users.openidId`.
    pub id: Box<str>,
    /// The claim `oid`: LibreChat's `users.idOnTheSource`.
    pub oid: Option<Box<str>>,
    /// The address, in lower case and trimmed.
    pub email: Option<Box<str>>,
    /// Whether the issuer is the one that LibreChat signs people in with. Records of older versions of LibreChat name no
    /// issuer; they count as that one's.
    pub home: bool,
}

/// Who it is, as far as the directory can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This person.
    Known(Person),
    /// Nobody has such a record.
    Nobody,
    /// There is a record, but LibreChat would refuse it for this subject, or would have to link the two first.
    Unlinked,
}

/// A way of asking for a record, in LibreChat's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    /// The field that is asked.
    pub(super) field: Field,
    /// The value that it must have.
    pub(super) value: &'a str,
    /// The issuer that the record must name; `None`: it must name none. Not asked where the field is the address.
    pub(super) issuer: Option<&'a str>,
}

/// A field that names a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    OpenidId,
    IdOnTheSource,
    Email,
}

/// What a record says of the identity provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) provider: Option<String>,
    pub(super) openid_id: Option<String>,
    pub(super) openid_issuer: Option<String>,
}

/// An issuer as LibreChat compares it: without white space around it, slashes at its end and the path of its description.
pub fn normal_issuer(issuer: &str) -> &str {
    let issuer = issuer.trim().trim_end_matches('/');
    issuer.strip_suffix(DISCOVERY).unwrap_or(issuer)
}

// === impl Subject ===

impl Subject {
    /// LibreChat's questions, first to last. The first record found is the only one that counts.
    pub(super) fn questions(&self) -> impl Iterator<Item = Question<'_>> {
        let by_id = (Field::OpenidId, Some(&*self.id));
        let by_oid = (Field::IdOnTheSource, self.oid.as_deref());
        let named = [by_id, by_oid].map(|(field, value)| (field, value, Some(&*self.issuer)));
        let unnamed = [by_id, by_oid].map(|(field, value)| (field, value.filter(|_| self.home), None));
        let by_email = (Field::Email, self.email.as_deref(), None);
        let questions = named.into_iter().chain(unnamed).chain([by_email]);
        questions.filter_map(|(field, value, issuer)| Some(Question { field, value: value?, issuer }))
    }

    /// Whether LibreChat takes the record that was found by this question for the subject's, as it stands.
    pub(super) fn owns(&self, asked: Field, record: &Link) -> bool {
        let issuer = record.openid_issuer.as_deref().map(normal_issuer).filter(|issuer| !issuer.is_empty());
        let issuer_fits = issuer.map_or(self.home, |issuer| issuer == &*self.issuer);
        match (asked, record.openid_id.as_deref().filter(|id| !id.is_empty())) {
            // LibreChat would write the issuer into a record that has none. Whose record it is does not change by that.
            (_, Some(id)) if id == &*self.id => {
                issuer_fits && (asked != Field::Email || is_openid(record.provider.as_deref()))
            }
            // Another `sub` with the same `oid` (another application of the same directory): LibreChat takes the record as
            // it is if it names the issuer, and would write this `sub` into it if it names none.
            (Field::IdOnTheSource, Some(_)) => issuer.is_some() && issuer_fits,
            (Field::IdOnTheSource, None) => issuer_fits,
            // A record that is found by its address alone would have to be linked first, or belongs to somebody else.
            (Field::OpenidId | Field::Email, _) => false,
        }
    }
}

fn is_openid(provider: Option<&str>) -> bool {
    matches!(provider, None | Some("" | "openid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "https://idp.example.edu/realms/lab";

    fn subject(oid: Option<&str>, email: Option<&str>, home: bool) -> Subject {
        Subject {
            issuer: HOME.into(),
            id: "sub-1".into(),
            oid: oid.map(Into::into),
            email: email.map(Into::into),
            home,
        }
    }

    fn link(provider: &str, id: &str, issuer: &str) -> Link {
        let text = |text: &str| (text != "-").then(|| text.to_owned());
        Link { provider: text(provider), openid_id: text(id), openid_issuer: text(issuer) }
    }

    #[test]
    fn questions_come_in_librechats_order() {
        let subject = subject(Some("oid-1"), Some("ann@lab.test"), true);
        let asked: Vec<_> = subject.questions().map(|q| (q.field, q.value, q.issuer)).collect();
        assert_eq!(
            asked,
            [
                (Field::OpenidId, "sub-1", Some(HOME)),
                (Field::IdOnTheSource, "oid-1", Some(HOME)),
                (Field::OpenidId, "sub-1", None),
                (Field::IdOnTheSource, "oid-1", None),
                (Field::Email, "ann@lab.test", None),
            ]
        );
    }

    #[test]
    fn records_without_an_issuer_are_asked_for_at_home_only() {
        let abroad = subject(Some("oid-1"), None, false);
        assert!(abroad.questions().all(|question| question.issuer == Some(HOME)));
        assert_eq!(abroad.questions().count(), 2);
        assert_eq!(subject(None, None, true).questions().count(), 2);
    }

    #[test]
    fn a_record_is_taken_as_librechat_takes_it_and_never_linked_on_the_way() {
        let home = subject(Some("oid-1"), Some("ann@lab.test"), true);
        let abroad = subject(Some("oid-1"), Some("ann@lab.test"), false);
        for (name, who, asked, record, owned) in [
            ("the usual one", &home, Field::OpenidId, link("openid", "sub-1", HOME), true),
            ("of an older LibreChat", &home, Field::OpenidId, link("openid", "sub-1", "-"), true),
            ("an empty issuer is none", &home, Field::OpenidId, link("openid", "sub-1", ""), true),
            ("no issuer, from elsewhere", &abroad, Field::OpenidId, link("openid", "sub-1", "-"), false),
            ("another issuer", &home, Field::OpenidId, link("openid", "sub-1", "https://evil.test"), false),
            ("the provider does not count for a sub", &home, Field::OpenidId, link("ldap", "sub-1", HOME), true),
            ("by oid, not linked", &home, Field::IdOnTheSource, link("openid", "-", HOME), true),
            ("by oid, not linked, no issuer", &home, Field::IdOnTheSource, link("openid", "-", "-"), true),
            ("by oid, another sub", &home, Field::IdOnTheSource, link("openid", "sub-2", HOME), true),
            ("by oid, another sub, no issuer", &home, Field::IdOnTheSource, link("openid", "sub-2", "-"), false),
            ("by oid, another issuer", &home, Field::IdOnTheSource, link("openid", "sub-2", "https://b.test"), false),
            ("by address, not linked", &home, Field::Email, link("openid", "-", "-"), false),
            ("by address, local", &home, Field::Email, link("local", "-", "-"), false),
            ("by address, local, same sub", &home, Field::Email, link("local", "sub-1", HOME), false),
            ("by address, another sub", &home, Field::Email, link("openid", "sub-2", HOME), false),
            (
                "by address, issuer written otherwise",
                &home,
                Field::Email,
                link("openid", "sub-1", "https://idp.example.edu/realms/lab/"),
                true,
            ),
            (
                "the same without a provider",
                &home,
                Field::Email,
                link("-", "sub-1", "https://idp.example.edu/realms/lab/"),
                true,
            ),
            ("by address, another issuer", &home, Field::Email, link("openid", "sub-1", "https://b.test"), false),
        ] {
            assert_eq!(who.owns(asked, &record), owned, "{name}");
        }
    }

    #[test]
    fn issuers_are_compared_as_librechat_writes_them() {
        for (written, normal) in [
            ("https://idp.test", "https://idp.test"),
            (" https://idp.test// ", "https://idp.test"),
            ("https://idp.test/r/.well-known/openid-configuration", "https://idp.test/r"),
            ("https://idp.test/r/.well-known/openid-configuration/", "https://idp.test/r"),
            ("", ""),
        ] {
            assert_eq!(normal_issuer(written), normal, "{written}");
        }
    }
}
