//! The permissions that the core defines; extensions define theirs in their manifests.

/// `resource.action`, with what it allows.
pub const CORE: [(&str, &str); 13] = [
    ("accounts.read", "Read the own account and its users"),
    ("admin.extensions.read", "See extensions and why they are on or off"),
    ("admin.extensions.manage", "Switch, rescan and release extensions"),
    ("admin.flags.read", "See flags"),
    ("admin.flags.manage", "Make and switch flags"),
    ("admin.audit.read", "Read the audit log"),
    ("admin.tokens.manage", "Make, list and revoke tokens"),
    ("admin.jobs.read", "See queues, jobs, schedules and nodes"),
    ("admin.jobs.manage", "Pause queues, and retry, discard and cancel jobs"),
    ("admin.accounts.manage", "Make and list accounts and users"),
    ("webhooks.read", "See the own account's webhooks, and what was sent there"),
    ("webhooks.manage", "Make, change and remove the own account's webhooks, and send again"),
    ("reports.read", "Read reports"),
];

/// The names alone.
pub fn core() -> impl Iterator<Item = &'static str> {
    CORE.iter().map(|(name, _)| *name)
}
