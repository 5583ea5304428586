//! An example for each command, in its help, its manual page and the reference.

use clap::Command;

/// Each command that does something, with the lines that show it.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("accounts create", &["powernode accounts create 'Second Street'"]),
    ("accounts list", &["powernode accounts list --json"]),
    ("audit export", &["powernode audit export --to audit.jsonl"]),
    ("audit verify", &["powernode audit verify"]),
    (
        "backup create",
        &[
            "powernode backup create --to /var/backups/powernode-1",
            "powernode backup create --to /mnt/safe/powernode-1 --with-key",
        ],
    ),
    ("backup restore", &["powernode backup restore /var/backups/powernode-1"]),
    ("backup verify", &["powernode backup verify /var/backups/powernode-1"]),
    ("completions", &["powernode completions bash > /etc/bash_completion.d/powernode"]),
    ("config check", &["powernode config check", "powernode config check --config new.toml"]),
    ("config reference", &["powernode config reference > CONFIGURATION.md"]),
    ("config show", &["powernode config show --origin", "powernode config show server.port"]),
    ("deliveries list", &["powernode deliveries list --status failed"]),
    (
        "deliveries redeliver",
        &["powernode deliveries redeliver 01890a5d-ac96-774b-bcce-b302099a8057"],
    ),
    ("doctor", &["powernode doctor", "powernode doctor --json --data /var/lib/powernode"]),
    ("events list", &["powernode events list --topic 'notes.entry.*'"]),
    (
        "events replay",
        &["powernode events replay 'notes/on:shop.order.paid' --since 2026-01-31T00:00:00Z"],
    ),
    ("events subscriptions", &["powernode events subscriptions"]),
    ("ext disable", &["powernode ext disable notes", "powernode ext disable notes --at-restart"]),
    ("ext enable", &["powernode ext enable notes"]),
    ("ext list", &["powernode ext list"]),
    ("ext release", &["powernode ext release notes"]),
    ("ext show", &["powernode ext show notes --json"]),
    ("ext stage", &["powernode ext stage libpowernode_notes.so --manifest extension.json"]),
    ("ext why", &["powernode ext why notes", "powernode ext why /api/v1/notes/entries"]),
    ("flags disable", &["powernode flags disable notes_mode"]),
    (
        "flags enable",
        &[
            "powernode flags enable notes_mode",
            "powernode flags enable notes_mode --group admins",
            "powernode flags enable notes_mode --percentage 25",
        ],
    ),
    ("flags export", &["powernode flags export > flags.json"]),
    ("flags get", &["powernode flags get notes_mode"]),
    ("flags import", &["powernode flags import flags.json"]),
    ("flags list", &["powernode flags list"]),
    (
        "flags set",
        &[
            "powernode flags set notes_mode on",
            "powernode flags set notes_mode 25%",
            "powernode flags set new_editor '10% of time'",
            r#"powernode flags set new_editor '{"Property":["admin"]}'"#,
        ],
    ),
    (
        "jobs cancel",
        &["powernode jobs cancel 42", "powernode jobs cancel --extension notes --status ready"],
    ),
    ("jobs discard", &["powernode jobs discard --queue notes:mail --status dead"]),
    ("jobs list", &["powernode jobs list --status dead", "powernode jobs list --extension notes"]),
    ("jobs retry", &["powernode jobs retry 42 43", "powernode jobs retry --handler send"]),
    ("jobs show", &["powernode jobs show 42"]),
    ("key adopt", &["powernode key adopt", "powernode key adopt --yes"]),
    ("key show", &["powernode key show"]),
    ("man", &["powernode man | man -l -", "powernode man --to /usr/local/share/man/man1"]),
    (
        "migrate",
        &["powernode migrate --dry-run", "powernode migrate --rehearse", "powernode migrate"],
    ),
    ("migrate purge", &["powernode migrate purge notes", "powernode migrate purge notes --yes"]),
    (
        "migrate revert",
        &["powernode migrate revert notes --steps 1", "powernode migrate revert notes --all"],
    ),
    ("migrate status", &["powernode migrate status"]),
    ("nodes", &["powernode nodes"]),
    ("queues list", &["powernode queues list"]),
    ("queues pause", &["powernode queues pause notes"]),
    ("queues resume", &["powernode queues resume notes"]),
    ("queues set", &["powernode queues set notes:mail --max-per-node 2 --max-global 4"]),
    ("schedules list", &["powernode schedules list"]),
    ("schedules run", &["powernode schedules run notes/tidy"]),
    ("seed", &["powernode seed", "powernode seed --tier demo notes"]),
    (
        "serve",
        &[
            "powernode serve",
            "powernode serve --port 9000 --data /var/lib/powernode",
            "powernode serve --no-worker",
        ],
    ),
    ("state disable", &["powernode state disable notes"]),
    ("state enable", &["powernode state enable notes"]),
    ("state list", &["powernode state list"]),
    ("tokens create", &["powernode tokens create --name ci --scope 'notes.*' --expires-in 90"]),
    ("tokens list", &["powernode tokens list"]),
    ("tokens revoke", &["powernode tokens revoke pn_AbCdEfGh"]),
    (
        "worker",
        &[
            "powernode worker --database-url postgres://powernode@db/powernode --data /var/lib/powernode-worker",
        ],
    ),
];

/// Adds the examples to a command and to those below it.
pub(super) fn add(command: Command) -> Command {
    below(command, "")
}

fn below(command: Command, path: &str) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |it| below(it, path.trim()))
    });
    match EXAMPLES.iter().find(|it| it.0 == path) {
        Some((_, lines)) => {
            let word = if lines.len() == 1 { "Example" } else { "Examples" };
            command.after_help(format!("{word}:\n  {}", lines.join("\n  ")))
        }
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
        for it in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            let path = format!("{path} {}", it.get_name()).trim().to_owned();
            if it.has_subcommands() && !it.is_subcommand_required_set() || !it.has_subcommands() {
                found.push(path.clone());
            }
            leaves(it, &path, found);
        }
    }

    #[test]
    fn every_command_has_an_example_and_every_example_is_read() {
        let command = crate::commands::command();
        let mut found = Vec::new();
        leaves(&command, "", &mut found);
        found.sort();
        let shown: Vec<_> = EXAMPLES.iter().map(|it| it.0.to_owned()).collect();
        assert_eq!(shown, found);
        for line in EXAMPLES.iter().flat_map(|it| it.1) {
            let line = line.split(['|', '>']).next().unwrap_or_default().replace('\'', "");
            // A quoted word that holds spaces is one word.
            let line = line.replace("10% of time", "10%").replace("Second Street", "Second");
            let read = command.clone().try_get_matches_from(line.split_whitespace());
            assert!(read.is_ok(), "{line}");
        }
    }
}
