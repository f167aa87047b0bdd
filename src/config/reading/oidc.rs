//! The identity provider: LibreChat's own variables, and the section `oidc` of the settings file.

use std::path::PathBuf;

use http::Uri;
use serde_saphyr::Spanned;

use super::{Reader, Value, shown};
use crate::config::written::{self, Text};
use crate::config::{Oidc, SHORTEST_SECRET, Secret};
use crate::identity::{Algorithm, Trust};
use crate::provider::is_loopback;
use crate::report::{Fault, nearest};

// === impl Reader ===

impl Reader<'_> {
    /// The provider, where LibreChat reuses its tokens. What else is written about it is then checked, too.
    pub(super) fn oidc(&mut self, written: written::Oidc, refresh_secret: Text) -> Option<Oidc> {
        let insecure_http =
            self.truth("oidc.insecure_http", written.insecure_http.map(|spanned| self.in_file(spanned)));
        let algorithms = self.algorithms(written.algorithms);
        let reuse = self.variable(written.reuse_tokens, "OPENID_REUSE_TOKENS");
        if !self.truth("oidc.reuse_tokens", reuse) {
            return None;
        }
        let issuer = self.variable(written.issuer, "OPENID_ISSUER");
        let issuer = self.provider_url("oidc.issuer", "OPENID_ISSUER", issuer, insecure_http);
        let jwks_url = match written.jwks_url.map(|spanned| self.in_file(spanned)) {
            Some(value) => Some(self.provider_url("oidc.jwks_url", "oidc.jwks_url", Some(value), insecure_http)?),
            None => None,
        };
        let client_id = self.variable(written.client_id, "OPENID_CLIENT_ID");
        let client_id = self.required("oidc.client_id", "OPENID_CLIENT_ID, as LibreChat has it", client_id);
        let audiences = self.audiences(written.audiences);
        let email_claim =
            self.variable(written.email_claim, "OPENID_EMAIL_CLAIM").map(|value| value.text.trim().into());
        let refresh_secret = self.variable(refresh_secret, "JWT_REFRESH_SECRET");
        let refresh_secret = self.refresh_secret(refresh_secret);
        let mut all: Vec<Box<str>> = vec![client_id?.trim().into()];
        all.extend(audiences.into_iter().filter(|audience| !audience.is_empty()));
        Some(Oidc {
            trust: Trust { issuer: issuer?, audiences: all, algorithms, email_claim, jwks_url },
            refresh_secret: refresh_secret?,
            ca_file: written.ca_file.map(|spanned| PathBuf::from(spanned.value)),
            insecure_http,
        })
    }

    /// LibreChat takes `true` in any spelling for yes, and everything else for no. Here, what is neither is a fault.
    pub(super) fn truth(&mut self, name: &str, value: Option<Value>) -> bool {
        let Some(value) = value else { return false };
        match value.text.trim().to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => {
                let message = format!("{name}: {} is neither true nor false", shown(&value.text));
                self.blame(&value.origin, "setting-choice", message, "write true or false; LibreChat knows only true");
                false
            }
        }
    }

    fn algorithms(&mut self, written: Vec<Spanned<String>>) -> Vec<Algorithm> {
        if written.is_empty() {
            return vec![Algorithm::DEFAULT];
        }
        let mut algorithms = Vec::new();
        for spanned in written {
            let value = self.in_file(spanned);
            match Algorithm::named(&value.text) {
                Some(algorithm) => algorithms.push(algorithm),
                None => {
                    let message = format!("oidc.algorithms: {} cannot be allowed", shown(&value.text));
                    let known: Vec<_> = Algorithm::names().collect();
                    let help = match nearest(&value.text, known.iter().copied()) {
                        Some(near) if !value.text.starts_with("HS") => format!("did you mean {near}?"),
                        _ => format!("those with a public key can be: {}", known.join(", ")),
                    };
                    self.blame(&value.origin, "setting-choice", message, &help);
                }
            }
        }
        algorithms
    }

    fn audiences(&self, written: Vec<Spanned<String>>) -> Vec<Box<str>> {
        match self.environment.get("OPENID_AUDIENCE") {
            Some(list) => list.split(',').map(|text| text.trim().into()).collect(),
            None => written.into_iter().map(|spanned| spanned.value.trim().into()).collect(),
        }
    }

    fn provider_url(&mut self, name: &str, how: &str, value: Option<Value>, insecure: bool) -> Option<Box<str>> {
        let Some(value) = value else {
            self.required(name, how, None);
            return None;
        };
        let text = value.text.trim();
        // The place of a tenant (Microsoft) is no part of a host, and stands for something that can be.
        let uri = text.replace("{tenantid}", "tenantid").parse::<Uri>().ok();
        let secure = match uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?))) {
            Some(("https", _)) => true,
            Some(("http", host)) => insecure || is_loopback(host),
            _ => {
                let message = format!("{name}: {} is no URL of an identity provider", shown(text));
                self.blame(&value.origin, "setting-url", message, "write it like https://idp.example.edu/realms/main");
                return None;
            }
        };
        if !secure {
            let message = format!("{name}: {} is not https", shown(text));
            let help =
                "whoever is on the way could hand out keys of their own: use https, or say oidc.insecure_http: true";
            self.blame(&value.origin, "setting-url", message, help);
            return None;
        }
        Some(text.into())
    }

    fn refresh_secret(&mut self, value: Option<Value>) -> Option<Secret> {
        let Some(value) = value else {
            if !self.blind {
                let message = "OPENID_REUSE_TOKENS is on, and LibreChat's JWT_REFRESH_SECRET is missing";
                let help =
                    "set it to the value that LibreChat has: the cookie that goes with such tokens is signed with it";
                self.report.push(Fault::error("setting-missing", message).help(help));
            }
            return None;
        };
        if value.text.len() < SHORTEST_SECRET {
            let message = format!("the JWT refresh secret is shorter than {SHORTEST_SECRET} bytes");
            let help = "give LibreChat and Tollgate a longer one (openssl rand -hex 32)";
            self.blame(&value.origin, "setting-secret", message, help);
            return None;
        }
        Some(Secret::new(value.text))
    }
}
