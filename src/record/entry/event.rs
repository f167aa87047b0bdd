//! What was done to Tollgate itself, or befell it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{Category, Severity, id_at};
use crate::record::line::Kind;
use crate::record::link::Hash;

/// Something that was done to Tollgate itself, or befell it: no request was decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Event {
    /// Id of the entry, a UUIDv7.
    #[serde(rename = "_id")]
    pub id: Uuid,
    /// When it happened, UTC.
    pub timestamp: Timestamp,
    /// LibreChat's id of the user to whom it was done, or who asked, where it is about one: when that user is erased, so is this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Box<str>>,
    /// Who did it, where somebody did: `cli` for a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Box<str>>,
    /// What happened.
    pub action: Happened,
    /// Kind of event: `SYSTEM`; `ADMIN` or `DATA` for what somebody did; of answers and noise that of such requests.
    pub category: Category,
    /// How grave it is.
    pub severity: Severity,
    /// The policy in force, where there is one: a hash of its files, and of the overrides beside them where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_revision: Option<Arc<str>>,
    /// What there is to say about it, by the action.
    pub about: About,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Happened {
    /// Tollgate was started.
    #[serde(rename = "tollgate.started")]
    Started,
    /// Tollgate was stopped, and had time to say so.
    #[serde(rename = "tollgate.stopped")]
    Stopped,
    /// A new policy came into force.
    #[serde(rename = "policy.loaded")]
    PolicyLoaded,
    /// The files of the policy were changed and have faults: the last good policy stays in force.
    #[serde(rename = "policy.refused")]
    PolicyRefused,
    /// Limits count anew, because their windows or time zones were changed with the policy.
    #[serde(rename = "limits.anew")]
    LimitsAnew,
    /// A request was answered that had its entry before that.
    #[serde(rename = "request.answered")]
    Answered,
    /// A part of the record is missing.
    #[serde(rename = "records.gap")]
    Gap,
    /// A request was answered 503 (`records.full`), because its entry was not on the disk in time; later it was.
    #[serde(rename = "records.late")]
    Late,
    /// Requests without a good token were counted instead of recorded, as there were too many.
    #[serde(rename = "records.noise")]
    Noise,
    /// The entries of a user were erased.
    #[serde(rename = "records.erased")]
    Erased,
    /// Other instances are named with their ends, so that none of them can be removed unseen.
    #[serde(rename = "records.linked")]
    Linked,
    /// The data directory is older than the record: what comes now is in the chains of a new instance.
    #[serde(rename = "records.forked")]
    Forked,
    /// Somebody of the embedded directory is about to be added or changed.
    #[serde(rename = "users.set")]
    UserSet,
    /// Somebody of the embedded directory is about to be removed.
    #[serde(rename = "users.removed")]
    UserRemoved,
    /// An override is about to be made or changed.
    #[serde(rename = "overrides.set")]
    OverrideSet,
    /// An override is about to be removed.
    #[serde(rename = "overrides.removed")]
    OverrideRemoved,
    /// Other overrides came into force, or other versions of them, or their faults are others.
    #[serde(rename = "overrides.taken")]
    OverridesTaken,
}

/// What there is to say about an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum About {
    /// Of `tollgate.started` and `tollgate.stopped`.
    #[serde(rename_all = "camelCase")]
    Program {
        /// The version of Tollgate.
        version: &'static str,
        /// The mode of the policy: `enforce` or `shadow`.
        mode: &'static str,
    },
    /// Of `policy.loaded`.
    #[serde(rename_all = "camelCase")]
    Loaded {
        /// The policy that was in force before: a hash of its files.
        from: Arc<str>,
        /// The mode of the new policy: `enforce` or `shadow`.
        mode: &'static str,
        /// How many files it has.
        files: usize,
    },
    /// Of `policy.refused`.
    #[serde(rename_all = "camelCase")]
    Refused {
        /// How many faults the files have, warnings among them.
        faults: usize,
        /// The first of them.
        found: Vec<FaultFound>,
    },
    /// Of `limits.anew`.
    #[serde(rename_all = "camelCase")]
    Anew {
        /// The limits that begin at nothing.
        limits: Vec<LimitAnew>,
    },
    /// Of `records.gap`, where entries were never taken.
    #[serde(rename_all = "camelCase")]
    Untaken {
        /// How many audit entries.
        audit: u64,
        /// How many usage entries.
        usage: u64,
        /// When the first of them was, UTC.
        since: Timestamp,
        /// When the record took entries again, UTC.
        until: Timestamp,
        /// Why they were not taken.
        reason: &'static str,
    },
    /// Of `records.gap`, where lines were lost that had been written.
    #[serde(rename_all = "camelCase")]
    Lost {
        /// Of which chain the lines are.
        kind: Kind,
        /// The number of the first line that is missing: `seq`, of heads `number`.
        from: u64,
        /// The number of the last one.
        to: u64,
        /// What was damaged.
        reason: Box<str>,
    },
    /// Of `records.gap`, where lines were lost with no earlier one of their kind left on the disk that would tell how many.
    #[serde(rename_all = "camelCase")]
    Beginning {
        /// Where they were in the spool.
        frames: LostFrames,
        /// The first number that was still there, of each kind that may be among them.
        before: LostBefore,
        /// What was damaged.
        reason: Box<str>,
    },
    /// Of `request.answered`.
    #[serde(rename_all = "camelCase")]
    Answered {
        /// The `requestId` of the request, which its entry has.
        request: Uuid,
        /// HTTP status of the answer; 499 where the caller left before it.
        status: u16,
        /// Milliseconds from arrival to the head of the answer.
        time: f64,
    },
    /// Of `records.late`.
    #[serde(rename_all = "camelCase")]
    Late {
        /// The `_id` of the entry. What it says of the answer, and that the request went on, was not so.
        entry: Uuid,
        /// HTTP status of the answer.
        status: u16,
    },
    /// Of `records.noise`.
    #[serde(rename_all = "camelCase")]
    Noise {
        /// How many requests.
        requests: u64,
        /// When the first of them came, UTC.
        since: Timestamp,
        /// Until when they were counted, UTC.
        until: Timestamp,
    },
    /// Of `records.erased`.
    #[serde(rename_all = "camelCase")]
    Erased {
        /// How many tombstones the erasure has left.
        count: u64,
        /// Which ones they are: SHA-256 over the hashes of all of them, in the order of instance, `audit` before `usage`, and `seq`.
        root: Hash,
        /// How many entries were removed, as they were in no chain; absent where an erasure broke off and was recorded afterwards.
        #[serde(skip_serializing_if = "Option::is_none")]
        removed: Option<u64>,
        /// How many sums of a day have no name any more; absent where an erasure broke off and was recorded afterwards.
        #[serde(skip_serializing_if = "Option::is_none")]
        days: Option<u64>,
        /// Why somebody wanted it, in the words of whoever erased.
        reason: Box<str>,
    },
    /// Of `records.linked`.
    #[serde(rename_all = "camelCase")]
    Linked {
        /// In which store they are: `embedded` or `mongo`.
        store: Box<str>,
        /// The instances.
        instances: Vec<LinkedEnd>,
    },
    /// Of `records.forked`.
    #[serde(rename_all = "camelCase")]
    Forked {
        /// The instance that the data directory was, and is no more.
        retired: Uuid,
        /// In which store it goes on further.
        store: Box<str>,
        /// The last numbers of it that the data directory knew.
        known: ForkedAt,
        /// Those that the store has.
        kept: ForkedAt,
    },
    /// Of `users.set`.
    #[serde(rename_all = "camelCase")]
    UserSet {
        /// What changes.
        changed: Vec<Changed>,
        /// Role and groups until then; absent for someone new.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Rights>,
        /// Role and groups from then on.
        after: Rights,
    },
    /// Of `users.removed`.
    #[serde(rename_all = "camelCase")]
    UserRemoved {
        /// Role and groups until then.
        before: Rights,
    },
    /// Of `overrides.set`.
    #[serde(rename_all = "camelCase")]
    OverrideSet {
        /// Whom the override is about.
        principal: PrincipalTold,
        /// What it was until then; absent for a new one.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<OverrideTold>,
        /// What it is from then on.
        after: OverrideTold,
    },
    /// Of `overrides.removed`.
    #[serde(rename_all = "camelCase")]
    OverrideRemoved {
        /// Whom the override was about.
        principal: PrincipalTold,
        /// What it was until then.
        before: OverrideTold,
    },
    /// Of `overrides.taken`.
    #[serde(rename_all = "camelCase")]
    OverridesTaken {
        /// The policy that was in force before.
        from: Arc<str>,
        /// How many overrides are in force now.
        in_force: usize,
        /// Which of them changed, the first 1,000: those that are new or have another version, and those that are gone.
        changed: Vec<VersionTold>,
        /// Overrides that have faults or cannot be read, and are not in force for that, the first 1,000: whom they are about is refused.
        faulty: Vec<VersionTold>,
    },
    /// Of `users.set`, `users.removed`, `overrides.set` and `overrides.removed`, where what an event told of was not done after all.
    #[serde(rename_all = "camelCase")]
    NotDone {
        /// The `_id` of that event.
        failed: Uuid,
    },
}

/// Whom an override is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PrincipalTold {
    /// `role`, `group` or `user`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The name of the role or the group, or LibreChat's user id.
    pub id: Box<str>,
}

/// An override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OverrideTold {
    /// Its version, which `overrides.taken` names.
    pub config_version: u64,
    /// Its place in the order in which overrides are merged.
    pub priority: i32,
    /// Whether it counts: `active` or `inactive`; `unreadable` where it could not be read, so that nothing else is told of it.
    pub state: &'static str,
    /// From when on it does not count any more, UTC; absent where it counts until it is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What it says, as JSON.
    pub overrides: Box<str>,
    /// Why, in the words of whoever changed it; absent where nothing was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
}

/// A version of an override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VersionTold {
    /// Whom it is about.
    pub principal: PrincipalTold,
    /// Which version; absent where it is no longer in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_version: Option<u64>,
}

/// Where the heads of an instance end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LinkedEnd {
    /// The instance.
    pub instance: Uuid,
    /// The number of its last head.
    pub number: u64,
    /// SHA-256 of that head's text.
    pub head: Hash,
    /// That head's time, UTC.
    pub timestamp: Timestamp,
}

/// The last numbers of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ForkedAt {
    /// `seq` of its last audit entry.
    pub audit: u64,
    /// `seq` of its last usage entry.
    pub usage: u64,
    /// `number` of its last head.
    pub head: u64,
}

/// Frames of the spool that are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LostFrames {
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub to: u64,
    /// How many of those between are lost, each with one line.
    pub lost: u64,
}

/// For each kind that may have lost lines, the first number behind them. Where there is none, no number is known to be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LostBefore {
    /// `seq` of an audit entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<u64>,
    /// `seq` of a usage entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<u64>,
    /// `number` of a head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
}

/// What of a person changes. Addresses and accounts themselves are not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Changed {
    /// The e-mail address.
    Email,
    /// The role.
    Role,
    /// The groups.
    Groups,
    /// The account at the identity provider.
    Account,
}

/// What somebody may do follows from this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rights {
    /// The groups.
    pub groups: Vec<Box<str>>,
    /// The role; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Box<str>>,
}

/// A fault in the files of the policy. What is written there may be somebody's address, and stays unsaid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FaultFound {
    /// Which fault it is: the code that `tollgate check` shows.
    pub code: &'static str,
    /// File, line and column; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Box<str>>,
}

/// A limit that counts anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LimitAnew {
    /// Its id.
    pub limit: Box<str>,
    /// The window that it had, with its time zone where it has one. What was used in it is left behind.
    pub from: Box<str>,
    /// The window that it has now.
    pub to: Box<str>,
}

// === impl Event ===

impl Event {
    /// Something that befell Tollgate itself, for information.
    pub fn of_tollgate(at: Timestamp, action: Happened, policy: Option<Arc<str>>, about: About) -> Self {
        Self {
            id: id_at(at),
            timestamp: at,
            user_id: None,
            actor: None,
            action,
            category: Category::System,
            severity: Severity::Info,
            policy_revision: policy,
            about,
        }
    }
}
