use std::time::Duration;

use expect_test::{Expect, expect};

use super::*;

/// The settings that a file, the environment and the command line make.
fn load(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("powernode.toml");
    std::fs::write(&path, file).unwrap();
    Settings::load(Sources {
        file: Some(path),
        environment: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: flags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
    })
}

#[track_caller]
fn refused(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)], expected: Expect) {
    let said = load(file, env, flags).unwrap_err().to_string();
    // The directory has another name each time.
    let said = match (said.find("/"), said.find("/powernode.toml")) {
        (Some(start), Some(end)) if start < end => format!("{}DIR{}", &said[..start], &said[end..]),
        _ => said,
    };
    expected.assert_eq(&said);
}

#[track_caller]
fn explained(
    key: &str,
    file: &str,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
    expected: Expect,
) {
    let settings = load(file, env, flags).unwrap();
    let row = settings.explain().iter().find(|row| row.key == key).unwrap();
    let origin = row.origin.to_string();
    let origin = if origin.starts_with("file ") { "file" } else { &origin };
    expected.assert_eq(&format!("{} ({origin})", row.value.as_deref().unwrap_or("-")));
}

#[test]
fn each_layer_lies_over_the_one_before() {
    let file = "[server]\nport = 1\n";
    let env: &[_] = &[("POWERNODE_SERVER__PORT", "2")];
    explained("server.port", "", &[], &[], expect!["8080 (default)"]);
    explained("server.port", file, &[], &[], expect!["1 (file)"]);
    explained("server.port", file, env, &[], expect!["2 (env POWERNODE_SERVER__PORT)"]);
    explained("server.port", file, env, &[("server.port", "3")], expect!["3 (flag)"]);
    assert_eq!(load(file, env, &[("server.port", "3")]).unwrap().server.port, 3);
}

#[test]
fn the_default_file_may_be_missing_and_a_named_one_may_not() {
    assert!(Settings::load(Sources::default()).is_ok());
    let named = Sources { file: Some("nowhere/powernode.toml".into()), ..Sources::default() };
    let said = Settings::load(named).unwrap_err().to_string();
    assert_eq!(said, "cannot read the settings file `nowhere/powernode.toml`");
}

#[test]
fn a_file_that_is_no_toml_is_named() {
    let said = load("[server\nport", &[], &[]).unwrap_err().to_string();
    assert!(said.contains("powernode.toml` is no TOML: TOML parse error at line 1"), "{said}");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest() {
    refused(
        "[server]\nprot = 1",
        &[],
        &[],
        expect![
            "unknown setting `server.prot` (file DIR/powernode.toml); the nearest is `server.port`"
        ],
    );
    refused(
        "",
        &[("POWERNODE_LOG__FILTERS", "x")],
        &[],
        expect![
            "unknown setting `log.filters` (env POWERNODE_LOG__FILTERS); the nearest is `log.filter`"
        ],
    );
    refused(
        "",
        &[],
        &[("dta", "x")],
        expect!["unknown setting `dta` (flag); the nearest is `data`"],
    );
    refused(
        "[sevrer]",
        &[],
        &[],
        expect!["unknown setting `sevrer` (file DIR/powernode.toml); the nearest is `server.url`"],
    );
}

#[test]
fn a_wrong_value_is_named_with_its_key_and_origin() {
    refused(
        "[server]\nport = true",
        &[],
        &[],
        expect![
            "setting `server.port` (file DIR/powernode.toml): expected a number from 0 to 65535, found `true`"
        ],
    );
    refused(
        "[server]\nport = \"80\"",
        &[],
        &[],
        expect![
            "setting `server.port` (file DIR/powernode.toml): expected a number from 0 to 65535, found `80`"
        ],
    );
    refused(
        "",
        &[("POWERNODE_SERVER__PORT", "99999")],
        &[],
        expect![
            "setting `server.port` (env POWERNODE_SERVER__PORT): expected a number from 0 to 65535, found `99999`"
        ],
    );
    refused(
        "",
        &[],
        &[("extensions.deadline", "5")],
        expect![
            "setting `extensions.deadline` (flag): expected a duration above zero with its unit, such as `500ms`, `5s`, `2m`, found `5`"
        ],
    );
    refused(
        "",
        &[],
        &[("server.trusted_proxies", "10.0.0.0/33")],
        expect![
            "setting `server.trusted_proxies` (flag): expected a list of addresses or ranges, such as `10.0.0.0/8`, found `10.0.0.0/33`"
        ],
    );
    refused(
        "[extension]\nmarketing = 1",
        &[],
        &[],
        expect![
            "setting `extension.marketing` (file DIR/powernode.toml): expected a section, found `1`"
        ],
    );
    refused(
        "",
        &[],
        &[("database.durability", "none")],
        expect!["setting `database.durability` (flag): expected `normal` or `full`, found `none`"],
    );
    refused(
        "",
        &[],
        &[("database.readers", "0")],
        expect![
            "setting `database.readers` (flag): expected a number from 1 to 4294967295, found `0`"
        ],
    );
}

#[test]
fn durations_and_sizes_have_units() {
    let settings = load(
        "[server]\nheader_timeout = \"500ms\"\nbody_timeout = \"2m\"\nbody_limit = 10\n",
        &[("POWERNODE_SERVER__WRITE_TIMEOUT", "1h")],
        &[],
    )
    .unwrap();
    assert_eq!(settings.server.header_timeout, Duration::from_millis(500));
    assert_eq!(settings.server.body_timeout, Duration::from_secs(120));
    assert_eq!(settings.server.write_timeout, Duration::from_secs(3600));
    assert_eq!(settings.server.body_limit, 10);
    assert_eq!(load("", &[], &[]).unwrap().server.body_limit, 1 << 20);
}

#[test]
fn the_database_lies_in_the_data_directory() {
    explained(
        "database.path",
        "",
        &[],
        &[("data", "/srv")],
        expect!["/srv/powernode.db (default)"],
    );
    explained(
        "database.path",
        "[database]\npath = \"x.db\"",
        &[],
        &[("data", "/srv")],
        expect!["x.db (file)"],
    );
}

#[test]
fn free_sections_reach_their_extension() {
    let settings = load(
        "[extension.supply-chain]\nregions = [\"eu\"]\nlimits.daily = 5\n[extension.marketing]\n",
        &[
            ("POWERNODE_EXTENSION__SUPPLY_CHAIN__LIMITS__DAILY", "6"),
            ("POWERNODE_EXTENSION__SUPPLY_CHAIN__NAME", "north"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(
        serde_json::to_value(&settings.extension).unwrap(),
        serde_json::json!({
            "marketing": {},
            "supply-chain": { "regions": ["eu"], "limits": { "daily": 6 }, "name": "north" },
        })
    );
}

#[test]
fn a_later_layer_may_replace_a_table_by_a_value_and_back() {
    let of = |file, env: &[_]| load(file, env, &[]).unwrap().extension["x"].clone();
    assert_eq!(
        of("[extension.x]\na.b = 1", &[("POWERNODE_EXTENSION__X__A", "2")]),
        serde_json::json!({ "a": 2 })
    );
    assert_eq!(
        of("[extension.x]\na = 1", &[("POWERNODE_EXTENSION__X__A__B", "2")]),
        serde_json::json!({ "a": { "b": 2 } })
    );
}

#[test]
fn the_master_key_comes_by_the_environment_alone() {
    refused(
        "[secrets]\nkey = \"abc\"",
        &[],
        &[],
        expect![
            "setting `secrets.key` (file DIR/powernode.toml) may only be set by the environment, as POWERNODE_SECRETS__KEY; or name a file with `secrets.key_file`"
        ],
    );
    let settings = load("", &[("POWERNODE_SECRETS__KEY", "abc")], &[]).unwrap();
    assert_eq!(settings.secrets.key.as_deref(), Some("abc"));
    assert!(!format!("{settings:?}").contains("abc"), "{settings:?}");
}

#[test]
fn secrets_are_masked() {
    let url = "postgres://me:hidden@localhost/powernode";
    let env: &[_] = &[
        ("POWERNODE_SECRETS__KEY", "hidden"),
        ("POWERNODE_DATABASE__URL", url),
        ("POWERNODE_EXTENSION__X__API_KEY", "hidden"),
    ];
    explained("secrets.key", "", env, &[], expect!["*** (env POWERNODE_SECRETS__KEY)"]);
    explained(
        "database.url",
        "",
        env,
        &[],
        expect!["postgres://me:***@localhost/powernode (env POWERNODE_DATABASE__URL)"],
    );
    explained(
        "extension.x.api_key",
        "",
        env,
        &[],
        expect!["*** (env POWERNODE_EXTENSION__X__API_KEY)"],
    );
    let settings = load("", env, &[]).unwrap();
    assert!(!format!("{settings:?}").contains("hidden"), "{settings:?}");
    assert_eq!(settings.database.url.as_deref(), Some(url));
}

#[test]
fn trusted_networks_hold_their_addresses() {
    let settings = load("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]", &[], &[]).unwrap();
    let trusted = |address: &str| {
        let address = address.parse().unwrap();
        settings.server.trusted_proxies.iter().any(|network| network.contains(address))
    };
    assert!(trusted("10.255.0.1") && trusted("::1") && trusted("::ffff:10.0.0.1"));
    assert!(!trusted("11.0.0.1") && !trusted("::2"));
    let all: Network = "0.0.0.0/0".parse().unwrap();
    assert!(all.contains("1.2.3.4".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
}

#[test]
fn other_variables_are_not_settings() {
    assert!(load("", &[("PATH", "/bin"), ("POWERNODE_CONFIG", "x")], &[]).is_ok());
}

#[test]
fn keys_are_sorted_and_each_is_explained() {
    let settings = load("", &[], &[]).unwrap();
    let explained: Vec<_> = settings.explain().iter().map(|row| row.key.as_str()).collect();
    let known: Vec<_> = keys::KEYS.iter().map(|key| key.name).collect();
    assert_eq!(explained, known);
}
