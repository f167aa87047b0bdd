//! `tollgate serve`: run in front of LibreChat.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::exit::Exit;
use super::test::fails;
use crate::app::{self, Followed, Sockets, StartFault};
use crate::config::{Environment, Flags, Log, Settings};
use crate::policy::Snapshot;
use crate::policy::defaults::{Given, UserDefaults};
use crate::reload::{self, Rejected, Tested};
use crate::report::Report;

/// Run the proxy in front of LibreChat
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  JWT_SECRET=... MONGO_URI=mongodb://127.0.0.1:27017/LibreChat \\
    tollgate serve --upstream http://127.0.0.1:3080 --policies policies/university
  tollgate serve --config /etc/tollgate/tollgate.yaml

Settings come from the file, then the environment, then flags; later ones win. LibreChat's own
JWT_SECRET and MONGO_URI are read, so that a sidecar shares its secrets. Changes of the policy are
taken while it runs, at once on SIGHUP; one with faults is not. SIGTERM stops without cutting an
answer.

The cases beside the policy (*.test.yaml) are run first: a policy whose cases fail is not used.

Exit codes: 0 stopped, 1 could not start, 64 bad settings or policy, or cases that fail (all of it is
shown, no port was opened).")]
pub struct Args {
    /// The settings that can be flags
    #[command(flatten)]
    pub flags: Flags,
}

/// Runs the command until it is asked to stop.
pub fn run(args: &Args, environment: &Environment, colour: bool, err: &mut dyn Write) -> Exit {
    let (policies, read) = read_tested(&args.flags, environment);
    let (settings, policy) = match read {
        Ok((settings, tested)) => {
            // Warnings that cannot be printed have nobody to read them.
            let _ = write!(err, "{}", tested.warnings.render_human(colour));
            (settings, tested.policy)
        }
        Err(rejected) => {
            // Faults that cannot be printed have nobody to read them.
            let _ = write!(err, "{}", rejected.render_human(colour, &policies));
            let failures = rejected.run.failures().count();
            if failures > 0 {
                let _ = writeln!(err, "tollgate: {} of the policy, which is not used", fails(failures));
            }
            return Exit::Usage;
        }
    };
    start_log(&settings.log);
    match start(&settings, policy, user_defaults(environment)) {
        Ok(()) => Exit::Ok,
        Err(fault) => {
            let _ = writeln!(err, "tollgate: {fault}");
            Exit::Failed
        }
    }
}

/// The defaults for users that the environment has.
pub(super) fn user_defaults(environment: &Environment) -> UserDefaults {
    let given = |name: &'static str| environment.get(name).map(|text| Given { name, text: text.to_owned() });
    UserDefaults {
        budget: given("DEFAULT_USER_MAX_BUDGET"),
        tokens_per_minute: given("DEFAULT_USER_TPM_LIMIT"),
        requests_per_minute: given("DEFAULT_USER_RPM_LIMIT"),
    }
}

/// Reads settings and policy; the faults of both come at once. With both goes what the policy's author should look at. The cases of
/// the policy are not run: that is for who begins to use it.
///
/// # Errors
/// All faults.
pub fn read(flags: &Flags, environment: &Environment) -> Result<(Settings, Snapshot, Report), Report> {
    let (settings, policies) = settings(flags, environment);
    let policy = policies.map(|policies| reload::load_with(&policies, &user_defaults(environment)));
    match (settings, policy) {
        (Ok(settings), Some(Ok((policy, warnings)))) => Ok((settings, policy, warnings)),
        (Err(mut faults), Some(Err(more))) => {
            faults.merge(more);
            Err(faults)
        }
        (Err(faults), _) | (Ok(_), Some(Err(faults))) => Err(faults),
        (Ok(_), None) => Err(Report::new()),
    }
}

/// Reads settings and policy, and runs the policy's cases: where the policy is, if anything says so, and what was read, or all faults, or
/// the cases that fail.
fn read_tested(flags: &Flags, environment: &Environment) -> (PathBuf, Result<(Settings, Tested), Rejected>) {
    let (settings, policies) = settings(flags, environment);
    let policy = policies.as_deref().map(|policies| reload::load_tested(policies, &user_defaults(environment)));
    let read = match (settings, policy) {
        (Ok(settings), Some(Ok(tested))) => Ok((settings, tested)),
        (Err(faults), Some(Err(mut rejected))) => {
            rejected.report.merge(faults);
            Err(rejected)
        }
        (Ok(_), Some(Err(rejected))) => Err(rejected),
        (Err(faults), _) => Err(faults.into()),
        (Ok(_), None) => Err(Rejected::default()),
    };
    (policies.unwrap_or_default(), read)
}

/// The settings, and where the policy is: it is looked at although other settings are wrong.
fn settings(flags: &Flags, environment: &Environment) -> (Result<Settings, Report>, Option<PathBuf>) {
    let settings = Settings::read(flags, environment);
    let policies = match &settings {
        Ok(settings) => Some(settings.policies.clone()),
        Err(_) => Settings::policies(flags, environment),
    };
    (settings, policies)
}

fn start(settings: &Settings, policy: Snapshot, defaults: UserDefaults) -> Result<(), StartFault> {
    let sockets = Sockets::open(settings.listen, settings.admin)?;
    tracing::info!(
        listen = %settings.listen,
        admin = %settings.admin,
        policy = policy.revision(),
        mode = policy.mode().as_str(),
        directory = if settings.mongo.is_some() { "mongodb" } else { "embedded" },
        limits = if settings.redis.is_some() { "redis" } else { "embedded" },
        "tollgate {} starts",
        env!("CARGO_PKG_VERSION"),
    );
    let followed = Followed { files: Some(settings.policies.clone()), defaults };
    app::serve(settings, policy, followed, sockets)?;
    tracing::info!("stopped");
    Ok(())
}

/// Logs go to standard error: standard output belongs to the record.
pub fn start_log(log: &Log) {
    // The libraries underneath say much that only their authors can use.
    let filter = EnvFilter::new(format!("warn,tollgate={},pingora_core::server=error", log.level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second start in one process (the tests') keeps the first log.
    let _ = if log.json { subscriber.json().try_init() } else { subscriber.try_init() };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of all faults of these settings beside this policy, which the settings file names.
    fn codes(settings: &str, policy: &str) -> Vec<&'static str> {
        let directory = tempfile::tempdir().unwrap();
        let (config, policies) = (directory.path().join("tollgate.yaml"), directory.path().join("policy.yaml"));
        std::fs::write(&policies, policy).unwrap();
        std::fs::write(&config, format!("policies: {}\n{settings}", policies.display())).unwrap();
        let flags = Flags { config: Some(config), ..Flags::default() };
        let environment = Environment::of([("JWT_SECRET", "a-secret-of-enough-length-for-tests")]);
        let report = read(&flags, &environment).unwrap_err();
        report.faults().iter().map(|fault| fault.code).collect()
    }

    #[test]
    fn faults_of_settings_and_policy_come_at_once() {
        let good = "version: 1\nroles: { USER: { unrestricted: true } }\n";
        let bad = "version: 1\nmode: enfroce\nroles: { USER: { unrestricted: true } }\n";
        assert_eq!(codes("timeouts: { head: soon }\n", good), ["setting-duration"]);
        assert_eq!(codes("", bad), ["bad-value"]);
        let mut both = codes("timeouts: { head: soon }\n", bad);
        both.sort_unstable();
        assert_eq!(both, ["bad-value", "setting-duration"]);
    }
}
