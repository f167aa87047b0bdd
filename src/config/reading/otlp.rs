//! The collector that the sink `otlp` posts to.

use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::super::records::OtlpOptions;
use super::super::written;
use super::{Origin, Reader, shown};
use crate::provider::is_loopback;

/// The variable that has the headers.
const HEADERS: &str = "TOLLGATE_OTLP_HEADERS";

/// Headers that say how a request is to be read: they are Tollgate's own.
const OWN: [HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
];

// === impl Reader, for the collector ===

impl Reader<'_> {
    /// The collector, where one is written to. What is said of it is checked in any case.
    pub(super) fn otlp(&mut self, written: written::Otlp, wanted: bool) -> Option<OtlpOptions> {
        let insecure = written.insecure_http.map(|spanned| self.in_file(spanned));
        let insecure_http = self.truth("records.otlp.insecure_http", insecure);
        // A lane gives up a write after 30 seconds.
        let timeout = self.duration("records.otlp.timeout", written.timeout, 10.0, (0.1, 25.0));
        let headers = self.otlp_headers();
        let ca_file = written.ca_file.map(|path| PathBuf::from(path.value));
        let url = match written.url {
            Some(url) => {
                let value = self.in_file(url);
                self.otlp_url(value.text.trim(), &value.origin, insecure_http)
            }
            None if wanted => {
                self.required("records.otlp.url", "records.otlp, or take `otlp` out of records.sinks", None);
                None
            }
            None => None,
        };
        url.filter(|_| wanted).map(|url| OtlpOptions { url, headers, timeout, ca_file, insecure_http })
    }

    fn otlp_url(&mut self, text: &str, origin: &Origin, insecure: bool) -> Option<Uri> {
        let url = text.parse::<Uri>().ok().filter(|url| !url.authority().is_some_and(|at| at.as_str().contains('@')));
        let secure = match url.as_ref().and_then(|url| Some((url.scheme_str()?, url.host()?))) {
            Some(("https", _)) => true,
            Some(("http", host)) => insecure || is_loopback(host),
            _ => {
                let message = "records.otlp.url: this is no URL of a collector";
                let help = "write it like https://collector.example.edu:4318/v1/logs, and credentials into TOLLGATE_OTLP_HEADERS";
                self.blame(origin, "setting-url", message, help);
                return None;
            }
        };
        if !secure {
            let message = format!("records.otlp.url: {} is not https", shown(text));
            let help =
                "whoever is on the way could read the record: use https, or say records.otlp.insecure_http: true";
            self.blame(origin, "setting-url", message, help);
            return None;
        }
        url
    }

    /// The headers, as OpenTelemetry writes them in variables: `name=value,name=value`.
    fn otlp_headers(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some(written) = self.environment.get(HEADERS) else { return headers };
        for pair in written.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let read = pair.split_once('=').and_then(|(name, value)| {
                let mut value = HeaderValue::try_from(value.trim()).ok()?;
                value.set_sensitive(true);
                Some((HeaderName::try_from(name.trim()).ok()?, value))
            });
            let Some((name, value)) = read.filter(|(name, _)| !OWN.contains(name)) else {
                let help =
                    "write it like authorization=Bearer TOKEN,x-tenant=main; how a request is framed is not to be said";
                self.blame(&Origin::Variable(HEADERS), "setting-headers", "this is no list of headers", help);
                return HeaderMap::new();
            };
            headers.insert(name, value);
        }
        headers
    }
}
