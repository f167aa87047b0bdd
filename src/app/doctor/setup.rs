//! What serving needs: secrets, stores, LibreChat, the identity provider, clocks, the disk.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Finding, Parts};
use crate::config::{Settings, Upstream};
use crate::identity::Documents;
use crate::provider::{Provider, WHOLE, is_loopback};
use crate::store::redis::{PREFIX, Redis};

/// Shortest secret that nobody finds by trying, in bytes.
const GOOD_SECRET: usize = 32;

/// How far two clocks may be apart, in seconds, before tokens and windows begin to suffer; and before they surely do.
const SKEW: (i64, i64) = (2, 30);

/// Collections of LibreChat's that are read. The first is there as soon as anybody has signed up.
const COLLECTIONS: [&str; 6] = ["users", "groups", "agents", "transactions", "balances", "conversations"];

/// Where LibreChat says that it is there, without asking who wants to know.
const HEALTH: &str = "/health";

/// An address that is nowhere (RFC 5737): it tells which of our own addresses leads out, and nothing is sent to it.
const NOWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

pub(super) async fn look(settings: &Settings, parts: &Parts) -> Vec<Finding> {
    let mut findings = vec![secret(settings)];
    if let Some(mongo) = &parts.mongo {
        let now = parts.clock.now();
        match mongo.probe(&COLLECTIONS).await {
            Ok(probe) => {
                findings.push(match probe.filled.contains(&"users") {
                    true => {
                        Finding::ok("MongoDB", format!("database {} has {}", probe.database, probe.filled.join(", ")))
                    }
                    false => Finding::warning(
                        "MongoDB",
                        format!("database {} has no users", probe.database),
                        "take the MONGO_URI that LibreChat has: the path in it names the database",
                    ),
                });
                findings.extend(probe.time.map(|time| clocks(now, time)));
            }
            Err(error) => findings.push(Finding::fault(
                "MongoDB",
                error.to_string(),
                "start it, or correct MONGO_URI: until it answers, nobody gets anything that is judged",
            )),
        }
    }
    if let Some(redis) = &settings.redis {
        let patience = settings.timeouts.limits.max(Duration::from_secs(1));
        findings.push(match Redis::connect(redis.reveal(), PREFIX, patience).await {
            Ok(_) => Finding::ok("Redis", "answers, and can keep counters".to_owned()),
            Err(error) => {
                let advice = "start it, or correct store.redis: limits follow their on_failure until it answers";
                Finding::fault("Redis", error.to_string(), advice)
            }
        });
    }
    for upstream in &settings.upstream {
        findings.push(librechat(upstream).await);
        findings.push(past_tollgate(upstream).await);
    }
    if parts.provider.is_some() {
        findings.push(keys(parts).await);
    }
    findings.push(data(&settings.data));
    findings
}

fn secret(settings: &Settings) -> Finding {
    let length = settings.jwt_secret.reveal().len();
    if length < GOOD_SECRET {
        let advice = "give LibreChat and Tollgate a longer one, by chance: openssl rand -hex 32";
        return Finding::warning("JWT_SECRET", format!("{length} bytes, fewer than {GOOD_SECRET}"), advice);
    }
    Finding::ok("JWT_SECRET", format!("{length} bytes"))
}

fn clocks(ours: Timestamp, theirs: Timestamp) -> Finding {
    const ADVICE: &str =
        "keep both machines' clocks by NTP: tokens end, and windows of limits begin, by the time of one of them";
    let apart = theirs.as_second().saturating_sub(ours.as_second());
    let found = match apart {
        0 => "MongoDB's agrees with this machine's".to_owned(),
        apart if apart > 0 => format!("MongoDB's is {apart} s ahead of this machine's"),
        apart => format!("MongoDB's is {} s behind this machine's", apart.unsigned_abs()),
    };
    let (some, much) = SKEW;
    match apart.saturating_abs() {
        apart if apart <= some => Finding::ok("clock", found),
        apart if apart <= much => Finding::warning("clock", found, ADVICE),
        _ => Finding::fault("clock", found, ADVICE),
    }
}

async fn librechat(upstream: &Upstream) -> Finding {
    let place = place(upstream);
    let way = match Provider::new(None, true) {
        Ok(way) => way,
        Err(error) => return Finding::fault("LibreChat", error.to_string(), ""),
    };
    match way.get(&format!("http://{place}{HEALTH}"), None).await {
        Ok(_) => Finding::ok("LibreChat", format!("answers at {place}")),
        Err(fault) => Finding::fault(
            "LibreChat",
            format!("{place}: {fault}"),
            "start it, or correct upstream: it is where LibreChat itself listens",
        ),
    }
}

/// Whether others than Tollgate can reach LibreChat, as far as that can be seen from here.
async fn past_tollgate(upstream: &Upstream) -> Finding {
    const WHAT: &str = "way past Tollgate";
    if !is_loopback(&upstream.host) {
        let found = format!("LibreChat listens at {}, which others may reach", place(upstream));
        let advice = "see to it that only Tollgate can connect there: a network of their own, or a firewall";
        return Finding::warning(WHAT, found, advice);
    }
    let Some(own) = own_address() else {
        return Finding::ok(WHAT, "LibreChat listens on this machine, which has no other address".to_owned());
    };
    match timeout(WHOLE, TcpStream::connect((own, upstream.port))).await {
        Ok(Ok(_)) => Finding::fault(
            WHAT,
            format!("something answers at {own}:{}, too: LibreChat can be reached from outside", upstream.port),
            "set HOST=127.0.0.1 in LibreChat's .env",
        ),
        _ => Finding::ok(WHAT, format!("nothing answers at {own}:{}", upstream.port)),
    }
}

/// The address under which others know this machine.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(NOWHERE).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// The provider's keys, which serving fetches in the background.
async fn keys(parts: &Parts) -> Finding {
    const WHAT: &str = "identity provider";
    let has_come = async {
        while parts.provider.as_ref().is_some_and(|provider| provider.age_of_keys().is_none()) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(WHOLE + Duration::from_secs(1), has_come).await {
        Ok(()) => Finding::ok(WHAT, "its signing keys can be fetched".to_owned()),
        Err(_) => Finding::fault(
            WHAT,
            "its signing keys cannot be fetched".to_owned(),
            "look at oidc.issuer, oidc.jwks_url and oidc.ca_file; the log line above says why",
        ),
    }
}

/// Whether something can be written where Tollgate keeps its data.
fn data(directory: &Path) -> Finding {
    const WHAT: &str = "data directory";
    const ADVICE: &str = "let the user that Tollgate runs as write there, or name another one: data";
    let shown = directory.display();
    // What is not there yet is made, if its parent lets us.
    let there = directory.ancestors().find(|ancestor| ancestor.exists() || ancestor.as_os_str().is_empty());
    let there = there.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    if !there.is_dir() {
        return Finding::fault(WHAT, format!("{shown}: {} is no directory", there.display()), ADVICE);
    }
    let trial = there.join(format!(".tollgate-doctor-{}", std::process::id()));
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&trial);
    let written = written.and_then(|_file| std::fs::remove_file(&trial));
    match written {
        Ok(()) if there == directory => Finding::ok(WHAT, format!("{shown} can be written")),
        Ok(()) => Finding::ok(WHAT, format!("{shown} is not there yet, and can be made")),
        Err(error) => Finding::fault(WHAT, format!("{shown}: {error}"), ADVICE),
    }
}

fn place(upstream: &Upstream) -> String {
    match upstream.host.contains(':') {
        true => format!("[{}]:{}", upstream.host.trim_matches(['[', ']']), upstream.port),
        false => format!("{}:{}", upstream.host, upstream.port),
    }
}
