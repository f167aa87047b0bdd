//! The policy in force, and the tasks that let it follow its files and the overrides.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::{JoinHandle, spawn_blocking};

use super::StartFault;
use super::windows::ChangedWindows;
use crate::clock::Clock;
use crate::config::Settings;
use crate::lifecycle::House;
use crate::meter::{MeterMeters, tokens};
use crate::metrics::Metrics;
use crate::policy::Snapshot;
use crate::policy::defaults::UserDefaults;
use crate::policy::mapping::TokenKind;
use crate::record::Recorder;
use crate::reload::{InForce, InForceParts, OverridesFollower, ReloadMeters, Reloader, ReloaderParts, Standing};
use crate::store::overrides::Overrides;

/// What a policy was made of, so that it can be made again.
#[derive(Default)]
pub struct Followed {
    /// The directory of policy files, or one such file; none for a policy that stays as it is.
    pub files: Option<PathBuf>,
    /// Defaults for users that stand in for those of the files.
    pub defaults: UserDefaults,
}

/// What other parts know.
pub(super) struct Known<'a> {
    pub(super) settings: &'a Settings,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Metrics,
    pub(super) recorder: &'a Recorder,
}

/// The policy in force.
pub(super) struct Reloading {
    in_force: Arc<InForce>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the settings let a policy know of an identity provider.
#[derive(Clone, Copy)]
enum Claims {
    /// There is none.
    None,
    /// The claims of tokens.
    OfTokens,
    /// Those, and what the provider tells when it is asked about a person.
    OfPeople,
}

// === impl Reloading ===

impl Reloading {
    /// Puts a policy into force, and lets it follow its files and the overrides in this store, which are read once before this returns, if
    /// the store answers.
    ///
    /// # Errors
    /// [`StartFault::Machine`] where there is no `SIGHUP`.
    pub(super) fn start(
        policy: Snapshot,
        followed: Followed,
        overrides: Arc<dyn Overrides>,
        known: &Known<'_>,
        house: &House,
    ) -> Result<Self, StartFault> {
        let Known { settings, clock, metrics, recorder } = *known;
        let coming = prepare(Claims::of(settings), metrics.meter(), ChangedWindows::open(settings, recorder, clock));
        let parts = InForceParts {
            recorder: recorder.clone(),
            clock: clock.clone(),
            meters: ReloadMeters {
                info: metrics.policy_info.clone(),
                stale: metrics.policy_stale.clone(),
                taken: metrics.policy_taken_timestamp_seconds.clone(),
                overrides: metrics.overrides.clone(),
                overrides_stale: metrics.overrides_stale.clone(),
            },
            coming: Box::new(coming),
        };
        let in_force = house.wait_for(async { Arc::new(InForce::new(policy, true, parts)) });
        let mut follower = OverridesFollower::new(overrides, Arc::clone(&in_force), clock.clone());
        house.wait_for(follower.look());
        let parts = ReloaderParts {
            policies: followed.files.clone().unwrap_or_default(),
            defaults: followed.defaults,
            in_force: Arc::clone(&in_force),
            recorder: recorder.clone(),
            clock: clock.clone(),
            loads: metrics.policy_loads_total.clone(),
        };
        let reloader = house.wait_for(async { Reloader::new(parts) });
        let reloader = reloader.map_err(|error| StartFault::Machine(format!("cannot listen for SIGHUP: {error}")))?;
        let mut tasks = vec![house.spawn(follower.run())];
        tasks.extend(followed.files.map(|_| house.spawn(reloader.run())));
        Ok(Self { in_force, tasks })
    }

    /// The policy in force, for who asks it.
    pub(super) fn policy(&self) -> Arc<ArcSwap<Snapshot>> {
        self.in_force.swapped()
    }

    /// What is told of it.
    pub(super) fn standing(&self) -> Arc<Standing> {
        self.in_force.standing()
    }

    /// Ends the tasks: from now on the policy stays as it is.
    pub(super) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

// === impl Claims ===

impl Claims {
    fn of(settings: &Settings) -> Self {
        match &settings.oidc {
            None => Self::None,
            Some(oidc) if oidc.trust.jwks_url.is_some() => Self::OfTokens,
            Some(_) => Self::OfPeople,
        }
    }

    /// Says where a policy asks for claims that nobody can know.
    fn warn(self, policy: &Snapshot) {
        match self {
            Self::None if policy.maps_claims() => {
                tracing::warn!("role_mapping and group_mapping have no effect: OPENID_REUSE_TOKENS is off");
            }
            Self::OfTokens if policy.asks_for(TokenKind::Userinfo) => {
                tracing::warn!(
                    "claims of userinfo are not known: with oidc.jwks_url the provider is not asked where it tells them"
                );
            }
            Self::None | Self::OfTokens | Self::OfPeople => {}
        }
    }
}

// === helpers ===

/// What has to be done before a policy comes into force.
fn prepare(claims: Claims, meters: MeterMeters, windows: ChangedWindows) -> impl Fn(&Snapshot) + Send + Sync + 'static {
    move |policy| {
        claims.warn(policy);
        meters.watch(policy.limit_rules());
        windows.coming(policy);
        if policy.counts_tokens() {
            // Reading the vocabularies takes a while: nobody's first turn should wait for it.
            drop(spawn_blocking(tokens::warm));
        }
    }
}
