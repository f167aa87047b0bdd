//! The code of every fault that reading a policy can give. Published names: they stay the same between versions.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $code;)+

        /// Every code with its description, in the order of `policies/README.md`.
        pub const ALL: &[(&str, &str)] = &[$(($code, concat!($($doc),+))),+];
    };
}

codes! {
    /// The directory, or a file in it, cannot be read as text, is no regular file, or does not stand still.
    UNREADABLE = "unreadable";
    /// The directory has no policy file.
    NO_FILES = "no-files";
    /// Warning: a sub-directory holds policy files, which are not read.
    SUB_DIRECTORY = "sub-directory";
    /// The file is larger than a policy can sensibly be, or its aliases make it so.
    TOO_LARGE = "too-large";
    /// The file is not YAML, or uses a part of YAML that a policy does not need.
    BAD_YAML = "bad-yaml";
    /// A mapping has the same key twice.
    DUPLICATE_KEY = "duplicate-key";
    /// A value has the wrong type, such as a list where a mapping belongs.
    WRONG_TYPE = "wrong-type";
    /// A key that the language does not have.
    UNKNOWN_KEY = "unknown-key";
    /// A value that is not one of the words allowed here.
    BAD_VALUE = "bad-value";
    /// The file does not say `version: 1`.
    VERSION_MISSING = "version-missing";
    /// The file is written for another version of the language.
    VERSION_UNKNOWN = "version-unknown";
    /// A rule of a mapping, a limit, a price, a budget, a case or a matrix lacks one of its keys.
    MISSING_KEY = "missing-key";
    /// The same role, group, user, endpoint, setting, limit, price, rule of a mapping or case is defined twice.
    DEFINED_TWICE = "defined-twice";
    /// A name is empty.
    EMPTY_NAME = "empty-name";
    /// A name has white space around it, or characters that cannot be seen.
    BAD_NAME = "bad-name";
    /// A `*` in the name of a role, group, user, endpoint or parameter, in the value of a claim, or in what a case asks for, where it has no meaning.
    WILDCARD_IN_NAME = "wildcard-in-name";
    /// The key of a user is neither an e-mail address nor a user id.
    USER_KEY = "user-key";
    /// LibreChat has no built-in endpoint of this name; or a case asks for one that nothing names, and that is like one there is.
    UNKNOWN_ENDPOINT = "unknown-endpoint";
    /// A built-in endpoint stands under `custom:`.
    BUILTIN_UNDER_CUSTOM = "builtin-under-custom";
    /// `endpoints:` names no endpoint, and what is not named is denied.
    EMPTY_ENDPOINTS = "empty-endpoints";
    /// An endpoint has neither `models` nor `deny`.
    ENDPOINT_SAYS_NOTHING = "endpoint-says-nothing";
    /// `tools`, a part of `agents`, `limits`, `on_failure`, `prices`, `defaults`, `turns`, `blocked` or `email_domains` says nothing.
    SAYS_NOTHING = "says-nothing";
    /// A `deny` list is empty.
    EMPTY_DENY = "empty-deny";
    /// A user's entry has `models: []`, which takes nothing away.
    HIDES_NOTHING = "hides-nothing";
    /// `unrestricted: true` stands beside a list of models or of allowed tools, which it would make pointless.
    UNRESTRICTED_WITH_MODELS = "unrestricted-with-models";
    /// A model, a tool, a parameter, a pattern, a caller, a user, a group or a domain stands twice in one list.
    DUPLICATE_MODEL = "duplicate-model";
    /// A model, a tool, a pattern or a domain stands beside one with `*` that matches it already, or repeats a star.
    REDUNDANT_MODEL = "redundant-model";
    /// A model, a tool or a pattern can never be allowed, because a `deny` of the same entry matches all of it.
    UNREACHABLE = "unreachable";
    /// A limit counts nothing, or several things.
    LIMIT_MEASURE = "limit-measure";
    /// An amount, a percentage or a number of a limit cannot be read.
    LIMIT_AMOUNT = "limit-amount";
    /// The id of a limit has other characters than letters, digits, `-` and `_`, or too many.
    LIMIT_ID = "limit-id";
    /// What a limit counts for is not there where it is written.
    LIMIT_PER = "limit-per";
    /// A limit does not say for how long something counts.
    LIMIT_WITHOUT_WINDOW = "limit-without-window";
    /// A window that cannot be read, or a window or a time zone where it has no meaning.
    LIMIT_WINDOW = "limit-window";
    /// A time zone that the IANA database does not have.
    UNKNOWN_TIMEZONE = "unknown-timezone";
    /// A limit is about no model or no endpoint.
    EMPTY_SCOPE = "empty-scope";
    /// `strict: true` for something that is counted exactly anyway.
    LIMIT_STRICT = "limit-strict";
    /// A limit is never reached: another one of the same entry is reached before it, or nobody may use what it is about.
    UNREACHABLE_LIMIT = "unreachable-limit";
    /// More limits apply to every request of a caller than can be counted together.
    TOO_MANY_LIMITS = "too-many-limits";
    /// Warning: more limits may apply to some requests than can be counted together.
    MANY_LIMITS = "many-limits";
    /// A stored document changes of a limit what no document can change.
    OVERRIDE_LIMIT = "override-limit";
    /// A price is negative, or no plain number.
    BAD_PRICE = "bad-price";
    /// A model that a limit of money covers has no price.
    WITHOUT_PRICE = "without-price";
    /// A default that the environment gives is no amount.
    BAD_DEFAULT = "bad-default";
    /// A message has a placeholder or a brace that has no meaning.
    BAD_PLACEHOLDER = "bad-placeholder";
    /// A domain of e-mail addresses that cannot be one.
    BAD_DOMAIN = "bad-domain";
    /// Warning: an entry is about somebody whom `blocked` or `email_domains` turns away.
    SHUT_OUT = "shut-out";
    /// A mapping has no rule.
    EMPTY_MAPPING = "empty-mapping";
    /// Warning: a mapping gives a role that has no entry, and such roles are denied everything.
    ROLE_WITHOUT_ENTRY = "role-without-entry";
    /// Warning: an entry allows nothing at all.
    ALLOWS_NOTHING = "allows-nothing";
    /// Warning: models are listed for a part of LibreChat that is open only to callers without any restriction.
    STAYS_CLOSED = "stays-closed";
    /// Warning: what is listed for the endpoint `agents` is not the id of an agent.
    NOT_AN_AGENT = "not-an-agent";
    /// A parameter of agents that chooses what is called or where, and can never be allowed.
    HARMFUL_PARAMETER = "harmful-parameter";
    /// A case file has no case, or a matrix no cell.
    NO_CASES = "no-cases";
    /// A case names a caller that its file, or its matrix, does not have.
    UNKNOWN_CALLER = "unknown-caller";
    /// Warning: a case has a role or a group that the policy does not name.
    NOT_NAMED = "not-named";
    /// A case names a limit that the policy does not have.
    UNKNOWN_LIMIT = "unknown-limit";
    /// A case names a rule that the policy does not have.
    UNKNOWN_RULE = "unknown-rule";
    /// A moment that cannot be read, or that is not the same everywhere.
    BAD_TIME = "bad-time";
    /// What was used, or when it resets, depends on the time, and the case has none.
    CASE_WITHOUT_CLOCK = "case-without-clock";
    /// A case expects what the policy can never answer.
    IMPOSSIBLE_CASE = "impossible-case";
    /// A case fails: the policy does not answer what the case expects.
    CASE_FAILED = "case-failed";
}
