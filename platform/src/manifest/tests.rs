use expect_test::{Expect, expect, expect_file};

use super::*;

const FULL: &str = include_str!("tests/full.json");

#[track_caller]
fn check(text: impl AsRef<[u8]>, outcome: Expect) {
    let found = match parse(text.as_ref()) {
        Ok(parsed) => {
            let id = format!("{} {}", parsed.manifest.slug, parsed.manifest.version);
            [vec![id], parsed.warnings].concat().join("\n")
        }
        Err(error) => format!("{}: {error}", error.code()),
    };
    outcome.assert_eq(&found);
}

/// A manifest with `field` beside the required ones.
fn with(field: &str) -> String {
    format!(r#"{{"name": "A", "slug": "supply-chain", "version": "1.0.0", {field}}}"#)
}

#[test]
fn name_slug_and_version_are_enough() {
    check(r#"{"name": "A", "slug": "a", "version": "1.0.0"}"#, expect!["a 1.0.0"]);
    check(
        r#"{"name": "A", "slug": "a"}"#,
        expect!["manifest_field: field `(top)`: missing field `version` at line 1 column 26"],
    );
    check(
        r#"{"slug": "a", "version": "1.0.0"}"#,
        expect!["manifest_field: field `(top)`: missing field `name` at line 1 column 33"],
    );
    check("{}", expect!["manifest_field: field `(top)`: missing field `name` at line 1 column 2"]);
}

#[test]
fn a_full_manifest_is_read() {
    check(FULL, expect!["marketing 0.1.0"]);
}

#[test]
fn the_guides_manifest_is_read() {
    check(
        r#"{"name": "Marketing", "slug": "marketing", "version": "0.1.0", "description": "Campaigns.",
            "author": "Your Name", "homepage": "https://example.com", "feature_flag": "marketing_mode",
            "capabilities": ["campaigns", "content_calendar", "email_lists"],
            "components": {"server": true, "frontend": true, "worker": true}, "dependencies": []}"#,
        expect!["marketing 0.1.0"],
    );
}

#[test]
fn unknown_keys_warn_with_their_path() {
    check(
        with(
            r#""icon": 1, "library": {}, "nav": [{"label": "x", "href": "/x", "extra": {"a": 1}}]"#,
        ),
        expect![[r#"
            supply-chain 1.0.0
            unknown key `icon` is ignored
            unknown key `nav.0.extra` is ignored"#]],
    );
    let many: Vec<_> = (0..25).map(|it| format!(r#""k{it}": 1"#)).collect();
    let parsed = parse(with(&many.join(",")).as_bytes()).unwrap();
    assert_eq!(parsed.warnings.len(), 21);
    assert_eq!(parsed.warnings[20], "5 more unknown keys are ignored");
}

#[test]
fn what_is_no_json_says_where() {
    check(
        "{\n  \"name\": \"A\",\n  oops\n}",
        expect!["manifest_not_json: it is not JSON: key must be a string at line 3 column 3"],
    );
    check(
        "",
        expect!["manifest_not_json: it is not JSON: EOF while parsing a value at line 1 column 0"],
    );
    check(
        "[]",
        expect!["manifest_not_json: it is not JSON: expected an object at the top, found a list"],
    );
    check(
        "7",
        expect![
            "manifest_field: field `(top)`: invalid type: integer `7`, expected a manifest, which is a JSON object at line 1 column 1"
        ],
    );
    check(
        r#"{"name": "A", "slug": "a", "version": "1.0.0"} x"#,
        expect!["manifest_not_json: it is not JSON: trailing characters at line 1 column 48"],
    );
    check(
        r#"{"name": "A", "name": "B", "slug": "a", "version": "1.0.0"}"#,
        expect!["manifest_field: field `(top)`: duplicate field `name` at line 1 column 20"],
    );
}

#[test]
fn what_is_no_text_says_where() {
    check(
        b"{\"name\": \"\xff\"}",
        expect![
            "manifest_not_text: it is not UTF-8 text: byte 10 belongs to no character; save it as UTF-8"
        ],
    );
}

#[test]
fn ten_megabytes_are_not_read() {
    struct Counting(u64);
    impl std::io::Read for &mut Counting {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b' ');
            self.0 += buffer.len() as u64;
            assert!(self.0 < 10 * MAX_BYTES, "the whole file was read");
            Ok(buffer.len())
        }
    }
    let mut file = Counting(0);
    let error = read(&mut file).unwrap_err();
    assert_eq!(error.code(), "manifest_too_large");
    assert!(file.0 <= 2 * MAX_BYTES, "{} bytes were read", file.0);
    assert_eq!(parse(&vec![b' '; 10 << 20]).unwrap_err().code(), "manifest_too_large");
}

#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    let deep = |depth| with(&format!(r#""later": {}1{}"#, "[".repeat(depth), "]".repeat(depth)));
    check(
        deep(31),
        expect![[r#"
        supply-chain 1.0.0
        unknown key `later` is ignored"#]],
    );
    check(
        deep(32),
        expect![
            "manifest_too_deep: line 1 is nested deeper than 32 levels, the most a manifest may have"
        ],
    );
    check(
        deep(400_000),
        expect![
            "manifest_too_deep: line 1 is nested deeper than 32 levels, the most a manifest may have"
        ],
    );
    check(
        with(r#""description": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ \" {{{{{""#),
        expect!["supply-chain 1.0.0"],
    );
}

#[test]
fn a_bad_field_is_named_with_its_path() {
    check(
        with(r#""default_enabled": "yes""#),
        expect![[
            r#"manifest_field: field `default_enabled`: invalid type: string "yes", expected a boolean at line 1 column 82"#
        ]],
    );
    check(
        with(r#""components": {"server": 1}"#),
        expect![
            "manifest_field: field `components.server`: invalid type: integer `1`, expected a boolean at line 1 column 84"
        ],
    );
    check(
        with(r#""components": {"worker": "no"}"#),
        expect![[
            r#"manifest_field: field `components.worker`: invalid type: string "no", expected true, false or {"api_only": true} at line 1 column 87"#
        ]],
    );
    check(
        with(r#""dependencies": ["b", {"slug": "c", "version": "new"}]"#),
        expect![
            "manifest_field: field `dependencies[1].version`: unexpected character 'n' while parsing major version number at line 1 column 110"
        ],
    );
    check(
        with(r#""dependencies": ["b", "B"]"#),
        expect![
            "manifest_field: field `dependencies[1]`: `B` is no slug: expected at most 40 small letters and digits, beginning with a letter, with single hyphens between words at line 1 column 83"
        ],
    );
    check(
        with(r#""dependencies": [7]"#),
        expect![[
            r#"manifest_field: field `dependencies[0]`: invalid type: integer `7`, expected a slug or {"slug": …, "version": …} at line 1 column 76"#
        ]],
    );
    check(
        with(r#""dependencies": ["b", "b"]"#),
        expect!["manifest_field: field `dependencies[1]`: `b` stands there twice"],
    );
    check(
        with(r#""capabilities": ["Fleet ops"]"#),
        expect![
            "manifest_field: field `capabilities[0]`: `Fleet ops` is not written in small letters, digits and underscores"
        ],
    );
    check(
        with(
            r#""permissions": [{"name": "a.read", "description": ""}, {"name": "a", "description": ""}]"#,
        ),
        expect![
            "manifest_field: field `permissions[1].name`: `a` is not `resource.action` in small letters"
        ],
    );
    check(
        with(r#""visibility": "secret""#),
        expect![
            "manifest_field: field `visibility`: unknown variant `secret`, expected `public` or `private` at line 1 column 80"
        ],
    );
    check(
        with(r#""api": "one""#),
        expect![
            "manifest_field: field `api`: unexpected character 'o' while parsing major version number at line 1 column 70"
        ],
    );
    check(
        with(r#""settings": 7"#),
        expect![
            "manifest_field: field `settings`: invalid type: integer `7`, expected a map at line 1 column 71"
        ],
    );
    check(
        with(r#""nav": [{"label": "x", "href": "//evil.example"}]"#),
        expect![
            "manifest_field: field `nav[0].href`: `//evil.example` is no page of this site, such as `/marketing/campaigns`"
        ],
    );
    check(
        with(r#""frontend": {"api": 1, "entry": "../x.js"}"#),
        expect![
            "manifest_field: field `frontend.entry`: `../x.js` is not a path inside the extension's directory, such as `lib/name`"
        ],
    );
    check(
        r#"{"name": "A", "slug": "a", "version": "1"}"#,
        expect![
            "manifest_field: field `version`: unexpected end of input while parsing major version number at line 1 column 41"
        ],
    );
    check(
        r#"{"name": "", "slug": "a", "version": "1.0.0"}"#,
        expect!["manifest_field: field `name`: expected 1 to 100 characters"],
    );
}

#[test]
fn a_library_is_held_to_its_form() {
    let library = |key: &str, field: &str, value: &str| {
        let text = FULL.replace("x86_64-unknown-linux-gnu", key);
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["library"][key][field] = value.into();
        json.to_string()
    };
    let triple = "x86_64-unknown-linux-gnu";
    check(
        library(triple, "sha256", "00"),
        expect![[
            r#"manifest_field: field `library.x86_64-unknown-linux-gnu.sha256`: invalid value: string "00", expected 64 small hexadecimal digits at line 1 column 626"#
        ]],
    );
    check(
        library(triple, "sha256", &"A".repeat(64)),
        expect![[
            r#"manifest_field: field `library.x86_64-unknown-linux-gnu.sha256`: invalid value: string "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA…", expected 64 small hexadecimal digits at line 1 column 688"#
        ]],
    );
    check(
        library(triple, "path", "/etc/passwd"),
        expect![
            "manifest_field: field `library.x86_64-unknown-linux-gnu.path`: `/etc/passwd` is not a path inside the extension's directory, such as `lib/name`"
        ],
    );
    check(
        library(triple, "path", "lib/../../x.so"),
        expect![
            "manifest_field: field `library.x86_64-unknown-linux-gnu.path`: `lib/../../x.so` is not a path inside the extension's directory, such as `lib/name`"
        ],
    );
    check(
        library(triple, "glibc", "new"),
        expect![
            "manifest_field: field `library.x86_64-unknown-linux-gnu.glibc`: `new` is no glibc version such as `2.34`"
        ],
    );
    check(
        library(triple, "sdk", "x"),
        expect![
            "manifest_field: field `library.x86_64-unknown-linux-gnu.sdk`: unexpected character 'x' while parsing major version number at line 1 column 608"
        ],
    );
    check(
        library(triple, "panic", "ignore"),
        expect![
            "manifest_field: field `library.x86_64-unknown-linux-gnu.panic`: unknown variant `ignore`, expected `unwind` or `abort` at line 1 column 559"
        ],
    );
    check(
        library("linux", "path", "lib/x.so"),
        expect![
            "manifest_field: field `library.linux`: is no target triple such as `x86_64-unknown-linux-gnu`"
        ],
    );
}

#[test]
fn slugs_have_one_form() {
    let slug = |slug: &str| format!(r#"{{"name": "A", "slug": "{slug}", "version": "1.0.0"}}"#);
    for good in ["a", "a1", "supply-chain", "a-1-b"] {
        assert!(parse(slug(good).as_bytes()).is_ok(), "{good}");
    }
    let long = "a".repeat(41);
    for bad in ["", "A", "1a", "a_b", "-a", "a-", "a--b", "a/b", "..", "é", &long] {
        assert_eq!(parse(slug(bad).as_bytes()).unwrap_err().code(), "manifest_field", "{bad}");
    }
    check(
        slug("../x"),
        expect![
            "manifest_field: field `slug`: `../x` is no slug: expected at most 40 small letters and digits, beginning with a letter, with single hyphens between words at line 1 column 28"
        ],
    );
    for reserved in RESERVED_SLUGS.iter().chain(&CORE_ROUTES) {
        let error = parse(slug(reserved).as_bytes()).unwrap_err();
        assert_eq!(error.code(), "slug_reserved", "{reserved}");
    }
    check(
        slug("core"),
        expect!["slug_reserved: slug `core` belongs to the platform; choose another"],
    );
}

#[test]
fn the_flag_is_the_extensions_own() {
    check(with(r#""feature_flag": "supply_chain_mode""#), expect!["supply-chain 1.0.0"]);
    check(
        with(r#""feature_flag": "marketing_mode""#),
        expect![
            "flag_foreign: field `feature_flag`: `marketing_mode` is not this extension's flag; write `supply_chain_mode`, or leave the field out"
        ],
    );
    let parsed = parse(with(r#""icon": 1"#).as_bytes()).unwrap();
    assert_eq!(parsed.manifest.flag(), "supply_chain_mode");
}

#[test]
fn a_prefix_is_not_the_platforms() {
    check(
        with(r#""prefixes": ["/api/v1/baas", "/api/v1/baas2/x_y"]"#),
        expect!["supply-chain 1.0.0"],
    );
    check(
        with(r#""prefixes": ["/baas"]"#),
        expect![
            "prefix_refused: field `prefixes[0]`: an extension cannot own `/baas`: expected a path below `/api/v1/`"
        ],
    );
    check(
        with(r#""prefixes": ["/api/v1/baas/"]"#),
        expect![
            "prefix_refused: field `prefixes[0]`: an extension cannot own `/api/v1/baas/`: expected small letters, digits, hyphens and underscores between single slashes, without one at the end"
        ],
    );
    check(
        with(r#""prefixes": ["/api/v1/admin/baas"]"#),
        expect![
            "prefix_refused: field `prefixes[0]`: an extension cannot own `/api/v1/admin/baas`: `/api/v1/admin` is the platform's"
        ],
    );
    check(
        with(r#""prefixes": ["/api/v1/{x}"]"#),
        expect![
            "prefix_refused: field `prefixes[0]`: an extension cannot own `/api/v1/{x}`: expected small letters, digits, hyphens and underscores between single slashes, without one at the end"
        ],
    );
    check(
        with(r#""prefixes": ["/api/v1/../admin"]"#),
        expect![
            "prefix_refused: field `prefixes[0]`: an extension cannot own `/api/v1/../admin`: expected small letters, digits, hyphens and underscores between single slashes, without one at the end"
        ],
    );
}

#[test]
fn a_manifest_survives_being_written() {
    for text in [FULL.to_owned(), with(r#""components": {"worker": {"api_only": true}}"#)] {
        let manifest = parse(text.as_bytes()).unwrap().manifest;
        let written = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(parse(&written).unwrap().manifest, manifest);
    }
}

/// Run with `UPDATE_EXPECT=1` after a change to the manifest.
#[test]
fn the_published_schema_is_up_to_date() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expect_file!["../../../plugin-api/extension.schema.json"].assert_eq(&text);
}

#[test]
fn the_schema_agrees() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let samples = [
        FULL.to_owned(),
        with(r#""unknown": 1"#),
        with(r#""components": {"worker": {"api_only": true}}"#),
        with(r#""components": {"worker": 7}"#),
        with(r#""dependencies": ["b", {"slug": "c", "version": "^1"}]"#),
        with(r#""dependencies": [{"version": "^1"}]"#),
        with(r#""dependencies": ["B"]"#),
        with(r#""capabilities": ["Fleet ops"]"#),
        with(r#""default_enabled": "yes""#),
        with(r#""visibility": "secret""#),
        with(r#""prefixes": ["/baas"]"#),
        with(r#""permissions": [{"name": "a", "description": ""}]"#),
        with(r#""settings": 7"#),
        with(r#""nav": [{"label": "x", "href": "//evil.example"}]"#),
        FULL.replace("\"sha256\": \"", "\"sha256\": \"x"),
        r#"{"name": "A", "slug": "a"}"#.to_owned(),
        r#"{"name": "A", "slug": "a b", "version": "1.0.0"}"#.to_owned(),
        "[]".to_owned(),
    ];
    for sample in samples {
        let json = serde_json::from_str(&sample).unwrap();
        assert_eq!(validator.is_valid(&json), parse(sample.as_bytes()).is_ok(), "{sample}");
    }
}
