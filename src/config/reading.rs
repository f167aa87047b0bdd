//! From texts with an origin to settings, or to all their faults.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;
use jiff::SignedDuration;
use serde_saphyr::{Location, Spanned};

use super::environment::Environment;
use super::records::SinkKind;
use super::written::{Text, Written};
use super::{CountersPlace, Flags, Log, Mongo, RecordPlace, SHORTEST_SECRET, Secret, Settings, Timeouts, Upstream};
use crate::flow::UnknownRoutes;
use crate::report::{ByteSpan, Fault, Place, Report, quoted};

mod keep;

mod balance;
mod counting;
mod oidc;
mod otlp;
mod records;

/// Where a value came from.
#[derive(Clone, Debug)]
enum Origin {
    File(Place),
    Variable(&'static str),
    Flag(&'static str),
}

/// A value and where it came from.
#[derive(Clone, Debug)]
struct Value {
    text: String,
    origin: Origin,
}

/// Reads values and collects faults.
struct Reader<'a> {
    file: PathBuf,
    /// The file could not be read: what it says is not known, so that nothing of it can be called missing.
    blind: bool,
    environment: &'a Environment,
    report: Report,
}

/// Reads the settings.
pub(super) fn read(flags: &Flags, environment: &Environment) -> Result<Settings, Report> {
    let (mut reader, written) = begin(flags, environment);
    let settings = reader.settings(written, flags);
    match settings {
        Some(settings) if !reader.report.has_errors() => Ok(settings),
        _ => Err(reader.report),
    }
}

/// Reads where the record is.
pub(super) fn record(flags: &Flags, environment: &Environment) -> Result<RecordPlace, Report> {
    let (mut reader, written) = begin(flags, environment);
    let mongo = reader.mongo(written.mongo.uri, written.mongo.database);
    let data = reader.data(written.store.embedded, flags);
    let sinks = reader.sinks(written.records.sinks, mongo.is_some());
    let keep = reader.keep(written.records.keep);
    if reader.report.has_errors() {
        return Err(reader.report);
    }
    let signing_key = written.records.signing_key.map(|path| PathBuf::from(path.value));
    let file = written.records.file.path.map(|path| PathBuf::from(path.value));
    let file = file.filter(|_| sinks.contains(&SinkKind::File));
    Ok(RecordPlace { mongo, data, sinks, keep, signing_key, file })
}

/// Reads where limits are counted.
pub(super) fn counters(flags: &Flags, environment: &Environment) -> Result<CountersPlace, Report> {
    let (mut reader, written) = begin(flags, environment);
    let data = reader.data(written.store.embedded, flags);
    let redis = reader.redis(written.store.redis);
    let patience = reader.duration("timeouts.limits", written.timeouts.limits, 0.25, (0.01, 10.0));
    match redis {
        Some(redis) if !reader.report.has_errors() => Ok(CountersPlace { redis, patience, data }),
        _ => Err(reader.report),
    }
}

/// A reader, and what the file says that flags or environment name.
fn begin<'a>(flags: &Flags, environment: &'a Environment) -> (Reader<'a>, Written) {
    let named = flags.config.clone().or_else(|| environment.get("TOLLGATE_CONFIG").map(PathBuf::from));
    let mut report = Report::new();
    environment.check_names(&mut report);
    let written = match &named {
        Some(file) => written(file, &mut report),
        None => Written::default(),
    };
    let blind = report.faults().iter().any(|fault| fault.code.starts_with("settings-"));
    (Reader { file: named.unwrap_or_default(), blind, environment, report }, written)
}

/// The policy that is named, whatever else is wrong with the settings.
pub(super) fn policies(flags: &Flags, environment: &Environment) -> Option<PathBuf> {
    let named = flags.policies.clone().or_else(|| environment.get("TOLLGATE_POLICIES").map(PathBuf::from));
    named.or_else(|| {
        let file = flags.config.clone().or_else(|| environment.get("TOLLGATE_CONFIG").map(PathBuf::from))?;
        written(&file, &mut Report::new()).policies.map(|policies| PathBuf::from(policies.value))
    })
}

fn written(file: &Path, report: &mut Report) -> Written {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            let fault = Fault::error("settings-unreadable", format!("the settings file cannot be read: {error}"));
            report.push(fault.at(Place::file(file)));
            return Written::default();
        }
    };
    if text.trim().is_empty() {
        return Written::default();
    }
    match serde_saphyr::from_str(&text) {
        Ok(written) => written,
        Err(error) => {
            // Without the snippet that the parser would add: a settings file may hold secrets.
            let message = error.without_snippet().to_string();
            let location = error.location().unwrap_or(Location::UNKNOWN);
            let message = masked(message.lines().next().unwrap_or("not valid YAML"));
            let help = "the settings are listed in deploy/tollgate.example.yaml";
            report.push(Fault::error("settings-invalid", message).at(place(file, location)).help(help));
            Written::default()
        }
    }
}

fn place(file: &Path, location: Location) -> Place {
    let line = u32::try_from(location.line()).unwrap_or(0);
    let column = u32::try_from(location.column()).unwrap_or(0);
    Place { file: file.to_owned(), line, column, span: ByteSpan::default() }
}

// === impl Reader ===

impl Reader<'_> {
    fn settings(&mut self, written: Written, flags: &Flags) -> Option<Settings> {
        let listen = self.value(written.listen, "TOLLGATE_LISTEN", ("--listen", flags.listen.clone()));
        let listen = self.address("listen", listen, "0.0.0.0:8080");
        let admin = self.value(written.admin, "TOLLGATE_ADMIN", ("--admin", flags.admin.clone()));
        let admin = self.address("admin", admin, "127.0.0.1:9090");
        let upstream = self.value(written.upstream, "TOLLGATE_UPSTREAM", ("--upstream", flags.upstream.clone()));
        let upstream = self.upstream(upstream);
        let policies = self.value(written.policies, "TOLLGATE_POLICIES", ("--policies", path_text(&flags.policies)));
        let policies = self.required("policies", "--policies DIR or TOLLGATE_POLICIES", policies).map(PathBuf::from);
        let jwt_secret = self.variable(written.identity.jwt_secret, "JWT_SECRET");
        let jwt_secret = self.jwt_secret(jwt_secret);
        let oidc = self.oidc(written.oidc, written.identity.jwt_refresh_secret);
        let mongo = self.mongo(written.mongo.uri, written.mongo.database);
        let data = self.data(written.store.embedded, flags);
        let redis = self.redis(written.store.redis);
        let replicas = self.replicas(written.replicas, !matches!(redis, Some(None)));
        let records = self.records(written.records, mongo.is_some());
        let trusted = self.trusted(written.trusted_proxies);
        let remember = self.duration("identity.cache", written.identity.cache, 5.0, (0.1, 60.0));
        let connections = self.number("limits.connections", written.limits.connections, 10_000, (1, 1_000_000));
        let threads = self.variable(written.threads, "TOLLGATE_THREADS");
        let threads = self.count("threads", threads, default_threads(), (1, 64));
        let unknown_routes = self.unknown_routes(written.routes.unknown);
        let timeouts = Timeouts {
            head: self.duration("timeouts.head", written.timeouts.head, 30.0, (1.0, 300.0)),
            body: self.duration("timeouts.body", written.timeouts.body, 30.0, (1.0, 600.0)),
            connect: self.duration("timeouts.connect", written.timeouts.connect, 2.0, (0.05, 60.0)),
            response: self.duration("timeouts.response", written.timeouts.response, 300.0, (1.0, 3_600.0)),
            idle: self.duration("timeouts.idle", written.timeouts.idle, 1_800.0, (10.0, 86_400.0)),
            limits: self.duration("timeouts.limits", written.timeouts.limits, 0.25, (0.01, 10.0)),
            turn_status: self.duration("timeouts.turn_status", written.timeouts.turn_status, 3.0, (0.1, 60.0)),
            turn_usage: self.duration("timeouts.turn_usage", written.timeouts.turn_usage, 10.0, (0.2, 60.0)),
            write_stall: self.duration("timeouts.write_stall", written.timeouts.write_stall, 30.0, (1.0, 3_600.0)),
            drain: self.duration("timeouts.drain", written.timeouts.drain, 30.0, (0.0, 3_600.0)),
        };
        let balance = self.balance(written.balance);
        let log = self.log(written.log.level, written.log.format);
        Some(Settings {
            listen: listen?,
            admin: admin?,
            upstream: upstream?,
            policies: policies?,
            jwt_secret: jwt_secret?,
            oidc,
            remember,
            mongo,
            data,
            redis: redis?,
            replicas,
            records,
            trusted_proxies: trusted,
            unknown_routes,
            balance,
            timeouts,
            connections,
            threads,
            log,
        })
    }

    /// Directory of the embedded store.
    fn data(&self, written: Text, flags: &Flags) -> PathBuf {
        let data = self.value(written, "TOLLGATE_DATA", ("--data", path_text(&flags.data)));
        data.map_or_else(|| PathBuf::from("./tollgate-data"), |value| PathBuf::from(value.text))
    }

    /// The value that wins: flag, then environment, then file.
    fn value(&self, file: Text, variable: &'static str, flag: (&'static str, Option<String>)) -> Option<Value> {
        match flag {
            (name, Some(text)) => Some(Value { text, origin: Origin::Flag(name) }),
            _ => self.variable(file, variable),
        }
    }

    fn variable(&self, file: Text, variable: &'static str) -> Option<Value> {
        match self.environment.get(variable) {
            Some(text) => Some(Value { text: text.to_owned(), origin: Origin::Variable(variable) }),
            None => file.map(|spanned| self.in_file(spanned)),
        }
    }

    fn in_file(&self, spanned: Spanned<String>) -> Value {
        Value { text: spanned.value, origin: Origin::File(place(&self.file, spanned.referenced)) }
    }

    fn blame(&mut self, origin: &Origin, code: &'static str, message: impl fmt::Display, help: &str) {
        let fault = match origin {
            Origin::File(place) => Fault::error(code, message.to_string()).at(place.clone()),
            Origin::Variable(name) => Fault::error(code, format!("environment variable {name}: {message}")),
            Origin::Flag(name) => Fault::error(code, format!("flag {name}: {message}")),
        };
        self.report.push(fault.help(help));
    }

    fn required(&mut self, name: &str, how: &str, value: Option<Value>) -> Option<String> {
        match value {
            Some(value) if !value.text.trim().is_empty() => Some(value.text),
            _ if self.blind => None,
            _ => {
                let fault = Fault::error("setting-missing", format!("setting {name} is missing"));
                self.report.push(fault.help(format!("give it in the settings file, or with {how}")));
                None
            }
        }
    }

    fn address(&mut self, name: &str, value: Option<Value>, default: &str) -> Option<SocketAddr> {
        let Some(value) = value else { return default.parse().ok() };
        if let Ok(address) = value.text.trim().parse() {
            return Some(address);
        }
        let message = format!("{name}: {} is no address and port", shown(&value.text));
        self.blame(&value.origin, "setting-address", message, "write it like 127.0.0.1:9090 or [::]:8080");
        None
    }

    fn upstream(&mut self, value: Option<Value>) -> Option<Vec<Upstream>> {
        let value = value
            .unwrap_or_else(|| Value { text: "http://127.0.0.1:3080".to_owned(), origin: Origin::Flag("--upstream") });
        let mut addresses = Vec::new();
        for text in value.text.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match upstream_address(text) {
                Ok(address) => addresses.push(address),
                Err(why) => {
                    let message = format!("upstream: {} {why}", shown(text));
                    let help = "write it like http://127.0.0.1:3080; several instances are separated by commas";
                    self.blame(&value.origin, "setting-upstream", message, help);
                }
            }
        }
        if addresses.is_empty() && !self.report.has_errors() {
            self.blame(&value.origin, "setting-upstream", "upstream: no address is given", "name LibreChat's address");
        }
        (!addresses.is_empty()).then_some(addresses)
    }

    fn jwt_secret(&mut self, value: Option<Value>) -> Option<Secret> {
        let Some(value) = value else {
            if self.blind {
                return None;
            }
            let fault = Fault::error("setting-missing", "LibreChat's JWT_SECRET is missing");
            let help = "set the environment variable JWT_SECRET to the value that LibreChat has";
            self.report.push(fault.help(help));
            return None;
        };
        if value.text.len() < SHORTEST_SECRET {
            let message = format!("the JWT secret is shorter than {SHORTEST_SECRET} bytes");
            let help =
                "whoever guesses it is everybody: give LibreChat and Tollgate a longer one (openssl rand -hex 32)";
            self.blame(&value.origin, "setting-secret", message, help);
            return None;
        }
        Some(Secret::new(value.text))
    }

    fn mongo(&mut self, uri: Text, database: Text) -> Option<Mongo> {
        let value = self.variable(uri, "MONGO_URI")?;
        if !value.text.starts_with("mongodb://") && !value.text.starts_with("mongodb+srv://") {
            let help = "it starts with mongodb:// or mongodb+srv://, as in LibreChat's own settings";
            self.blame(&value.origin, "setting-mongo", "this is no MongoDB connection string", help);
            return None;
        }
        let database = database.map_or_else(|| "tollgate".to_owned(), |database| database.value);
        Some(Mongo { uri: Secret::new(value.text), database })
    }

    fn trusted(&mut self, written: Vec<Spanned<String>>) -> Vec<IpNet> {
        let values: Vec<Value> = match self.environment.get("TOLLGATE_TRUSTED_PROXIES") {
            Some(list) => list
                .split(',')
                .map(|text| Value {
                    text: text.trim().to_owned(),
                    origin: Origin::Variable("TOLLGATE_TRUSTED_PROXIES"),
                })
                .collect(),
            None => written.into_iter().map(|spanned| self.in_file(spanned)).collect(),
        };
        let mut nets = Vec::new();
        for value in values {
            let net = IpNet::from_str(&value.text).or_else(|_| value.text.parse::<IpAddr>().map(IpNet::from));
            match net {
                Ok(net) => nets.push(net),
                Err(_) => {
                    let message = format!("trusted_proxies: {} is no address or network", shown(&value.text));
                    self.blame(&value.origin, "setting-network", message, "write it like 10.0.0.0/8 or 192.0.2.7");
                }
            }
        }
        nets
    }

    fn unknown_routes(&mut self, written: Text) -> UnknownRoutes {
        let Some(spanned) = written else { return UnknownRoutes::Deny };
        match spanned.value.as_str() {
            "deny" => UnknownRoutes::Deny,
            "identified" => UnknownRoutes::Identified,
            "pass" => UnknownRoutes::Pass,
            other => {
                let message = format!("routes.unknown: {} is no choice", shown(other));
                let origin = self.in_file(spanned).origin;
                self.blame(&origin, "setting-choice", message, "the choices are deny, identified and pass");
                UnknownRoutes::Deny
            }
        }
    }

    fn duration(&mut self, name: &str, written: Text, default: f64, (least, most): (f64, f64)) -> Duration {
        let Some(spanned) = written else { return Duration::from_secs_f64(default) };
        let parsed = SignedDuration::from_str(spanned.value.trim()).ok().map(|duration| duration.as_secs_f64());
        match parsed {
            Some(seconds) if (least..=most).contains(&seconds) => Duration::from_secs_f64(seconds),
            _ => {
                let message = format!("{name}: {} is no duration from {least} s to {most} s", shown(&spanned.value));
                let origin = self.in_file(spanned).origin;
                self.blame(&origin, "setting-duration", message, "write it like 500ms, 5s, 2m or 1h");
                Duration::from_secs_f64(default)
            }
        }
    }

    fn number(&mut self, name: &str, written: Text, default: usize, bounds: (usize, usize)) -> usize {
        let value = written.map(|spanned| self.in_file(spanned));
        self.count(name, value, default, bounds)
    }

    fn count(&mut self, name: &str, value: Option<Value>, default: usize, (least, most): (usize, usize)) -> usize {
        let Some(value) = value else { return default };
        match value.text.trim().parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                let message = format!("{name}: {} is no whole number from {least} to {most}", shown(&value.text));
                self.blame(&value.origin, "setting-number", message, "write it in digits");
                default
            }
        }
    }

    fn log(&mut self, level: Text, format: Text) -> Log {
        let mut log = Log { level: tracing::Level::INFO, json: false };
        if let Some(value) = self.variable(level, "TOLLGATE_LOG") {
            match value.text.as_str() {
                "error" => log.level = tracing::Level::ERROR,
                "warn" => log.level = tracing::Level::WARN,
                "info" => log.level = tracing::Level::INFO,
                "debug" => log.level = tracing::Level::DEBUG,
                other => {
                    let message = format!("log.level: {} is no level", shown(other));
                    self.blame(&value.origin, "setting-choice", message, "the levels are error, warn, info and debug");
                }
            }
        }
        if let Some(value) = self.variable(format, "TOLLGATE_LOG_FORMAT") {
            match value.text.as_str() {
                "text" => log.json = false,
                "json" => log.json = true,
                other => {
                    let message = format!("log.format: {} is no format", shown(other));
                    self.blame(&value.origin, "setting-choice", message, "the formats are text and json");
                }
            }
        }
        log
    }
}

fn upstream_address(text: &str) -> Result<Upstream, &'static str> {
    let uri = Uri::from_str(text).map_err(|_| "is no URL")?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err("uses https, which is not spoken to LibreChat: let Tollgate run beside it"),
        _ => return Err("does not start with http://"),
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err("has a path: LibreChat's routes stay at the root");
    }
    let authority = uri.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("has a user name, which LibreChat does not take");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err("has no host");
    }
    Ok(Upstream { host, port: authority.port_u16().unwrap_or(80) })
}

fn path_text(path: &Option<PathBuf>) -> Option<String> {
    path.as_ref().map(|path| path.to_string_lossy().into_owned())
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

/// A value for a message, without what may be a password.
fn shown(text: &str) -> String {
    quoted(&masked(text))
}

/// A text with `user:password@` taken out, also where somebody wrote a connection string in the wrong place.
fn masked(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (before, after) = (text.get(..scheme).unwrap_or_default(), text.get(at..).unwrap_or_default());
            format!("{before}://***{after}")
        }
        _ => text.to_owned(),
    }
}
