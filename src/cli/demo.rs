//! `tollgate demo`: a LibreChat stand-in, Tollgate in front of it, two people to try it with.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::exit::Exit;
use super::serve::{start_log, user_defaults};
use crate::app::{self, Followed, Sockets};
use crate::config::{Environment, Flags, Settings, Upstream};
use crate::demo::{Person, StandIn, StandInOptions, tour};
use crate::lifecycle::House;
use crate::policy::defaults::UserDefaults;
use crate::policy::{Snapshot, Source, compile_with};
use crate::reload::{self, Rejected};
use crate::report::Report;
use crate::store;
use crate::store::embedded::Embedded;

/// The shipped demo policy, for a program that stands alone without its repository.
const POLICY: &str = include_str!("../../policies/demo/policy.yaml");

/// How long a token of the demo lives: long enough to paste lines at leisure.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// See it work: a LibreChat stand-in, Tollgate in front, two people, free of any outside service
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate demo
  tollgate demo --policies policies/university    try another policy with the same two people
  tollgate demo --listen 127.0.0.1:18080 --admin 127.0.0.1:19090

Ctrl-C stops it and removes what it wrote.")]
pub struct Args {
    /// Directory of the policy to try [default: policies/demo, which is also built in]
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// Address of the data plane
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address of the admin plane
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub admin: SocketAddr,
}

/// Runs the demo until Ctrl-C.
pub fn run(args: &Args, environment: &Environment, colour: bool, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let defaults = user_defaults(environment);
    let policy = match policy(args.policies.as_deref(), &defaults) {
        Ok(policy) => policy,
        Err(report) => {
            // Faults that cannot be printed have nobody to read them.
            let _ = write!(err, "{}", report.render_human(colour));
            return Exit::Usage;
        }
    };
    match demonstrate(args, policy, defaults, out) {
        Ok(()) => Exit::Ok,
        Err(why) => {
            let _ = writeln!(err, "tollgate: {why}");
            Exit::Failed
        }
    }
}

fn policy(policies: Option<&Path>, defaults: &UserDefaults) -> Result<Snapshot, Report> {
    let Some(policies) = policies else {
        let source = Source { path: PathBuf::from("policies/demo/policy.yaml"), text: Arc::from(POLICY) };
        return compile_with(&[source], defaults).map(|(snapshot, _warnings)| snapshot);
    };
    let tested = reload::load_tested(policies, defaults);
    tested.map(|tested| tested.policy).map_err(Rejected::into_faults)
}

fn demonstrate(args: &Args, policy: Snapshot, defaults: UserDefaults, out: &mut dyn Write) -> Result<(), String> {
    let sockets = Sockets::open(args.listen, args.admin).map_err(|fault| fault.to_string())?;
    let address = sockets.data.local_addr().map_err(|error| error.to_string())?;
    let admin = sockets.admin.local_addr().map_err(|error| error.to_string())?;
    let data = Scratch::make().map_err(|error| format!("cannot make a directory for the embedded store: {error}"))?;
    let options = StandInOptions {
        token_lifetime: TOKEN_LIFETIME,
        word_delay: Duration::from_millis(60),
        ..StandInOptions::default()
    };
    let settings = settings(args, &options, &data.0)?;
    fill_directory(&data.0, &options.people)?;
    let house = House::open().map_err(|error| error.to_string())?;
    let stand_in = house.wait_for(StandIn::start(options)).map_err(|error| error.to_string())?;
    let settings = Settings { upstream: vec![address_of(stand_in.addr())], ..settings };
    start_log(&settings.log);
    introduce(out, &stand_in, address, admin, &policy).map_err(|error| error.to_string())?;
    let followed = Followed { files: args.policies.clone(), defaults };
    let served = app::serve(&settings, policy, followed, sockets).map_err(|fault| fault.to_string());
    house.wait_for(stand_in.stop());
    house.close();
    writeln!(out, "\nStopped; what the demo wrote is removed.").map_err(|error| error.to_string())?;
    served
}

/// The demo's settings, made by the same reader as everybody's.
fn settings(args: &Args, options: &StandInOptions, data: &Path) -> Result<Settings, String> {
    let flags = Flags {
        data: Some(data.to_owned()),
        policies: Some(PathBuf::from("policies/demo")),
        listen: Some(args.listen.to_string()),
        admin: Some(args.admin.to_string()),
        ..Flags::default()
    };
    let environment = Environment::of([
        ("JWT_SECRET", options.jwt_secret.as_str()),
        ("TOLLGATE_RECORDS", "stdout,embedded"),
        ("TOLLGATE_LOG", "warn"),
    ]);
    let mut settings = Settings::read(&flags, &environment).map_err(|report| report.to_string())?;
    settings.timeouts.drain = Duration::from_secs(2);
    Ok(settings)
}

fn fill_directory(data: &Path, people: &[Person]) -> Result<(), String> {
    let directory = Embedded::open(data).map_err(|error| error.to_string())?;
    for person in people {
        let known = store::Person {
            id: person.id.as_str().into(),
            email: Some(person.email.as_str().into()),
            role: Some(person.role.as_str().into()),
            groups: Vec::new(),
        };
        directory.put_person(&known).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn address_of(address: SocketAddr) -> Upstream {
    Upstream { host: address.ip().to_string(), port: address.port() }
}

/// Says what is running and what to try.
fn introduce(
    out: &mut dyn Write,
    stand_in: &StandIn,
    address: SocketAddr,
    admin: SocketAddr,
    policy: &Snapshot,
) -> io::Result<()> {
    writeln!(out, "Tollgate demo: everything runs on this machine, nothing outside is asked.\n")?;
    writeln!(
        out,
        "  Tollgate            http://{address}   (policy {}, {})",
        policy.revision(),
        policy.mode().as_str()
    )?;
    writeln!(out, "  health and metrics  http://{admin}/readyz  http://{admin}/metrics")?;
    writeln!(out, "  LibreChat stand-in  http://{}   (not to be asked directly)\n", stand_in.addr())?;
    for person in &stand_in.options().people {
        writeln!(out, "  {:<5} {:<6} {:<18} password {}", person.name, person.role, person.email, person.password)?;
    }
    writeln!(out, "\nPaste this first:\n")?;
    for person in &stand_in.options().people {
        writeln!(out, "  {}='authorization: Bearer {}'", person.name.to_uppercase(), stand_in.token_for(person))?;
    }
    for (what, line) in tour(&format!("http://{address}")) {
        writeln!(out, "\n# {what}\n  {line}")?;
    }
    writeln!(
        out,
        "\nEvery decision is recorded; the entries appear below as they are written. Ctrl-C stops the demo.\n"
    )?;
    out.flush()
}

/// A directory that goes when the demo ends.
struct Scratch(PathBuf);

// === impl Scratch ===

impl Scratch {
    fn make() -> io::Result<Self> {
        // A free port is as good a random number as any, and the directory must not be there yet.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = std::env::temp_dir().join(format!("tollgate-demo-{}-{port}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind in the machine's temporary directory is small, and goes with the next start of the machine.
        let _ = fs::remove_dir_all(&self.0);
    }
}
