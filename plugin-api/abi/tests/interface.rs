//! The interface as it stands in the repository (`interface.txt`), and what a change of it does.
//!
//! `interface-1.0.txt` and its like are past versions for ever: what stands there may only grow.
//!
//! `UPDATE_INTERFACE=1 cargo test -p powernode-abi --test interface` writes it again.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own crate must fail")]

use std::{collections::BTreeMap, env, fs, path::Path};

use quote::ToTokens;
use syn::{Attribute, Fields, Item, TraitItem};

/// A type's entries in their order, and how many of them are there for ever.
#[derive(Debug, PartialEq)]
struct Described {
    kind: &'static str,
    entries: Vec<String>,
    fixed: usize,
}

type Interface = BTreeMap<String, Described>;

#[test]
fn a_change_of_the_interface_is_deliberate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("interface.txt");
    let now = compiled(root);
    if env::var_os("UPDATE_INTERFACE").is_some() {
        fs::write(&file, text(&now)).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap();
    if golden != text(&now) {
        let said = changes(&parse(&golden), &now);
        panic!(
            "the interface changed:\n{}\nwrite it again with UPDATE_INTERFACE=1, in the same commit",
            said.join("\n")
        );
    }
}

#[test]
fn what_stood_in_a_past_version_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for version in ["1.0", "1.1"] {
        let frozen = fs::read_to_string(root.join(format!("interface-{version}.txt"))).unwrap();
        let said = changes(&parse(&frozen), &compiled(root));
        let broken: Vec<_> = said.into_iter().filter(|it| it.starts_with("breaks: ")).collect();
        assert!(broken.is_empty(), "interface {version} is frozen:\n{}", broken.join("\n"));
    }
}

#[test]
fn what_a_change_does_is_said_in_words() {
    let before =
        "RawHost, trait\n    fn slug ()\n    fn db ()\n    -- later\nId, struct\n    0 : u64\n";
    let said = |after: &str| changes(&parse(before), &parse(after)).join("; ");
    assert_eq!(said(before), "");
    assert_eq!(
        said(
            "RawHost, trait\n    fn slug ()\n    fn db ()\n    -- later\n    fn jobs () default\nId, struct\n    0 : u64\n"
        ),
        "grows: `RawHost` gains `fn jobs () default`; older libraries go on, raise the minor of ABI_VERSION"
    );
    assert_eq!(
        said(
            "RawHost, trait\n    fn slug ()\n    fn db ()\n    -- later\n    fn jobs ()\nId, struct\n    0 : u64\n"
        ),
        "breaks: `RawHost` gains `fn jobs ()` without a default body; calling it in an older library panics"
    );
    assert_eq!(
        said("RawHost, trait\n    fn slug ()\n    -- later\nId, struct\n    0 : u64\n"),
        "breaks: `RawHost` loses `fn db ()`; every library built before is refused"
    );
    assert_eq!(
        said(
            "RawHost, trait\n    fn db ()\n    fn slug ()\n    -- later\nId, struct\n    0 : u32\n"
        ),
        "breaks: entry 0 of `Id` was `0 : u64` and is `0 : u32`; every library built before is refused; \
         breaks: entry 0 of `RawHost` was `fn slug ()` and is `fn db ()`; every library built before is refused"
    );
    assert_eq!(
        said("RawHost, trait\n    fn slug ()\n    fn db ()\n    -- later\n"),
        "breaks: `Id` is gone; every library built before is refused"
    );
}

/// What stands in the sources: everything that `StableAbi` or `sabi_trait` describes.
fn compiled(root: &Path) -> Interface {
    let mut found = Interface::new();
    let mut files: Vec<_> =
        fs::read_dir(root.join("src")).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|it| it.extension().is_some_and(|it| it == "rs")) {
        for item in syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap().items {
            collect(item, &mut found);
        }
    }
    found
}

fn collect(item: Item, found: &mut Interface) {
    match item {
        Item::Trait(it) if it.attrs.iter().any(|it| it.path().is_ident("sabi_trait")) => {
            let (mut entries, mut fixed) = (Vec::new(), 0);
            for method in &it.items {
                let TraitItem::Fn(method) = method else { continue };
                let default = if method.default.is_some() { " default" } else { "" };
                entries.push(format!("{}{default}", tokens(&method.sig)));
                if last_prefix(&method.attrs) {
                    fixed = entries.len();
                }
            }
            let bounds = tokens(&it.supertraits);
            entries.insert(0, format!(": {bounds}"));
            found.insert(
                it.ident.to_string(),
                Described { kind: "trait", entries, fixed: fixed + 1 },
            );
        }
        Item::Struct(it) if is_stable(&it.attrs) => {
            let entries: Vec<_> = fields(&it.fields);
            let fixed = it.fields.iter().position(|it| last_prefix(&it.attrs));
            let fixed = fixed.map_or(entries.len(), |it| it + 1);
            let kind =
                if it.fields.iter().any(|it| last_prefix(&it.attrs)) { "module" } else { "struct" };
            found.insert(it.ident.to_string(), Described { kind, entries, fixed });
        }
        Item::Enum(it) if is_stable(&it.attrs) => {
            let variant =
                |it: &syn::Variant| format!("{} {}", it.ident, fields(&it.fields).join(", "));
            let entries: Vec<_> = it.variants.iter().map(variant).collect();
            let fixed = entries.len();
            found.insert(it.ident.to_string(), Described { kind: "enum", entries, fixed });
        }
        _ => {}
    }
}

fn fields(fields: &Fields) -> Vec<String> {
    let name = |at: usize, it: &syn::Field| {
        it.ident.as_ref().map_or_else(|| at.to_string(), ToString::to_string)
    };
    fields
        .iter()
        .enumerate()
        .map(|(at, it)| format!("{} : {}", name(at, it), tokens(&it.ty)))
        .collect()
}

fn is_stable(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| it.path().is_ident("derive") && tokens(it).contains("StableAbi"))
}

fn last_prefix(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|it| it.path().is_ident("sabi") && tokens(it).contains("last_prefix_field"))
}

fn tokens(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

/// The heading of a type begins its line; entries are indented; what may grow stands below `-- later`.
fn text(interface: &Interface) -> String {
    let mut text = String::new();
    for (name, described) in interface {
        text += &format!("{name}, {}\n", described.kind);
        for (at, entry) in described.entries.iter().enumerate() {
            text += &format!("    {entry}\n");
            if at + 1 == described.fixed && matches!(described.kind, "trait" | "module") {
                text += "    -- later\n";
            }
        }
    }
    text
}

fn parse(text: &str) -> Interface {
    let mut interface = Interface::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(entry) = line.strip_prefix("    ") {
            let described = interface.get_mut(&name).unwrap();
            match entry {
                "-- later" => described.fixed = described.entries.len(),
                entry => described.entries.push(entry.to_owned()),
            }
        } else if let Some((heading, kind)) = line.split_once(", ") {
            heading.clone_into(&mut name);
            let kind =
                ["trait", "module", "struct", "enum"].into_iter().find(|it| *it == kind).unwrap();
            interface
                .insert(name.clone(), Described { kind, entries: Vec::new(), fixed: usize::MAX });
        }
    }
    interface
}

fn changes(before: &Interface, after: &Interface) -> Vec<String> {
    const REFUSED: &str = "every library built before is refused";
    let mut said = Vec::new();
    for (name, was) in before {
        let Some(is) = after.get(name) else {
            said.push(format!("breaks: `{name}` is gone; {REFUSED}"));
            continue;
        };
        let changed = was.entries.iter().zip(&is.entries).position(|(was, is)| was != is);
        if let Some(at) = changed {
            let (was, is) = (&was.entries[at], &is.entries[at]);
            said.push(format!(
                "breaks: entry {at} of `{name}` was `{was}` and is `{is}`; {REFUSED}"
            ));
            continue;
        }
        if let Some(lost) = was.entries.get(is.entries.len()) {
            said.push(format!("breaks: `{name}` loses `{lost}`; {REFUSED}"));
        }
        for gained in is.entries.iter().skip(was.entries.len()) {
            said.push(match was.kind {
                "trait" if !gained.ends_with(" default") => format!(
                    "breaks: `{name}` gains `{gained}` without a default body; calling it in an older library panics"
                ),
                "trait" | "module" => format!(
                    "grows: `{name}` gains `{gained}`; older libraries go on, raise the minor of ABI_VERSION"
                ),
                _ => format!("breaks: `{name}` gains `{gained}`, and is frozen; {REFUSED}"),
            });
        }
        if was.kind != is.kind {
            said.push(format!(
                "breaks: `{name}` was a {} and is a {}; {REFUSED}",
                was.kind, is.kind
            ));
        }
    }
    let new = after.keys().filter(|it| !before.contains_key(*it));
    said.extend(new.map(|it| format!("new: `{it}`; it counts with what uses it")));
    said
}
