//! Which issuer a token may name: one, or with Microsoft's `{tenantid}` in it that of any tenant, as LibreChat has it.

use crate::store::normal_issuer;

/// The place of a tenant in an issuer's address.
const TENANT: &str = "{tenantid}";

/// The issuer of good tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issuer {
    before: Box<str>,
    /// What follows the tenant; `None` where the address has no place for one.
    after: Option<Box<str>>,
}

// === impl Issuer ===

impl Issuer {
    /// The issuer of this address.
    pub(super) fn new(address: &str) -> Self {
        let address = normal_issuer(address);
        match address.split_once(TENANT) {
            Some((before, after)) => Self { before: before.into(), after: Some(after.into()) },
            None => Self { before: address.into(), after: None },
        }
    }

    /// Whether a token that names `issuer` is this one's.
    pub(super) fn is(&self, issuer: &str) -> bool {
        let issuer = normal_issuer(issuer);
        let Some(after) = &self.after else { return issuer == &*self.before };
        let tenant = issuer.strip_prefix(&*self.before).and_then(|rest| rest.strip_suffix(&**after));
        tenant.is_some_and(|tenant| {
            !tenant.is_empty() && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    }

    /// Whether it has a place for a tenant.
    pub(super) fn has_tenants(&self) -> bool {
        self.after.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_one_address_or_that_of_any_tenant() {
        let plain = Issuer::new("https://idp.test/realms/lab/");
        assert!(plain.is("https://idp.test/realms/lab") && plain.is("https://idp.test/realms/lab/"));
        for other in ["", "https://idp.test/realms", "https://idp.test/realms/lab2", "HTTPS://idp.test/realms/lab"] {
            assert!(!plain.is(other), "{other}");
        }
        let many = Issuer::new("https://login.test/{tenantid}/v2.0");
        assert!(many.has_tenants() && many.is("https://login.test/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"));
        for other in [
            "https://login.test//v2.0",
            "https://login.test/v2.0",
            "https://login.test/a/b/v2.0",
            "https://login.test/{tenantid}/v2.0",
            "https://login.test/a/v2.0/x",
            "https://evil.test/https://login.test/a/v2.0",
        ] {
            assert!(!many.is(other), "{other}");
        }
    }
}
