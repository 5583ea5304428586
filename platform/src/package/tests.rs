use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use expect_test::{Expect, expect};
use powernode_abi::note;
use tempfile::TempDir;

use super::*;
use crate::manifest::{self, Refusal, Sha256};

/// A directory `extensions/` with one staged extension `a`, its library made by the C compiler.
struct Bench {
    root: TempDir,
}

/// What the C compiler makes the library of.
struct Sample {
    note: String,
    code: String,
    flags: Vec<&'static str>,
}

impl Default for Sample {
    fn default() -> Self {
        let parts = note::parts("1.0.0", "a", "1.0.0");
        Self {
            note: parts.concat(),
            code: format!("int {}(void) {{ return 1; }}", image::ROOT),
            flags: vec![],
        }
    }
}

impl Sample {
    /// The default library with one text of its note exchanged.
    fn noting(from: &str, to: &str) -> Self {
        let sample = Self::default();
        assert!(sample.note.contains(from), "{from}");
        Self { note: sample.note.replace(from, to), ..sample }
    }

    /// The default library with more C code.
    fn with(code: &str) -> Self {
        let sample = Self::default();
        Self { code: format!("{}\n{code}", sample.code), ..sample }
    }

    fn build(&self, path: &Path) {
        let text: String = self.note.bytes().map(|it| format!("{it},")).collect();
        let source = path.with_extension("c");
        let note = format!(
            "__attribute__((section(\"powernode_note\"), used)) const unsigned char POWERNODE_NOTE[] = {{{text}}};"
        );
        let note = if self.note.is_empty() { String::new() } else { note };
        fs::write(&source, format!("{note}\n{}\n", self.code)).unwrap();
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(path)
            .arg(&source)
            .args(&self.flags)
            .status()
            .unwrap();
        assert!(status.success());
        fs::remove_file(source).unwrap();
    }
}

impl Bench {
    /// Builds and stages `sample`.
    fn new(sample: &Sample) -> Result<Self, Refusal> {
        let bench = Self::empty();
        bench.stage(sample, r#"{"name": "A", "slug": "a", "version": "1.0.0"}"#)?;
        Ok(bench)
    }

    fn empty() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("extensions")).unwrap();
        Self { root }
    }

    fn stage(&self, sample: &Sample, manifest: &str) -> Result<Staged, Refusal> {
        let (library, file) = (self.path("liba.so"), self.path("extension.json"));
        sample.build(&library);
        fs::write(&file, manifest).unwrap();
        stage(&library, &file, &self.path("extensions"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn library(&self) -> PathBuf {
        fs::read_dir(self.path("extensions/a/lib")).unwrap().next().unwrap().unwrap().path()
    }

    /// Changes the staged manifest's entry for this target.
    fn claim(&self, field: &str, value: impl Into<serde_json::Value>) {
        let path = self.path("extensions/a/extension.json");
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        json["library"][note::TARGET][field] = value.into();
        fs::write(&path, json.to_string()).unwrap();
    }

    /// Puts `bytes` in the library's place, and their hash into the manifest.
    fn forge(&self, bytes: &[u8]) {
        fs::write(self.library(), bytes).unwrap();
        self.claim("sha256", Sha256::of(bytes).to_string());
        self.claim("size", bytes.len());
    }

    fn found(&self) -> Found {
        scan(&self.path("extensions")).into_iter().find(|it| it.name == "a").unwrap()
    }

    fn verify(&self) -> Result<Verified, Refusal> {
        verify(&self.found(), &Host::detect())
    }

    fn text(&self, outcome: Result<Vec<String>, Refusal>) -> String {
        let text = match outcome {
            Ok(warnings) => [vec!["fine".to_owned()], warnings].concat().join("\n"),
            Err(refusal) => format!("{}: {}", refusal.code, refusal.message),
        };
        let root = self.root.path().display().to_string();
        let text = text.replace(&root, "").replace(&note::TARGET.to_owned(), "TARGET");
        let mut parts = text.split("liba-");
        let head = parts.next().unwrap_or_default().to_owned();
        parts.fold(head, |text, part| format!("{text}liba-#{}", &part[12.min(part.len())..]))
    }

    #[track_caller]
    fn check(&self, outcome: Expect) {
        outcome.assert_eq(&self.text(self.verify().map(|it| it.warnings)));
    }

    #[track_caller]
    fn check_scan(&self, outcome: Expect) {
        let lines = scan(&self.path("extensions")).into_iter().map(|it| {
            let outcome = it.manifest.map(|_| it.warnings);
            format!(
                "{}: {}",
                it.directory.strip_prefix(self.root.path()).unwrap().display(),
                self.text(outcome)
            )
        });
        outcome.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
    }
}

/// What becomes of a library that is staged, and then verified.
#[track_caller]
fn check(sample: &Sample, outcome: Expect) {
    let bench = Bench::empty();
    let staged = bench.stage(sample, r#"{"name": "A", "slug": "a", "version": "1.0.0"}"#);
    let verified = staged.and_then(|_| bench.verify());
    outcome.assert_eq(&bench.text(verified.map(|it| it.warnings)));
}

#[test]
fn what_was_staged_is_verified() {
    check(&Sample::default(), expect!["fine"]);
}

#[test]
fn a_library_without_a_note_is_foreign() {
    check(
        &Sample { note: String::new(), ..Sample::default() },
        expect![
            "no_note: cannot use `/liba.so`: it carries no `powernode_note`, so it is no plugin library; build it with powernode-plugin-api's export macro"
        ],
    );
    check(
        &Sample { code: "int x;".to_owned(), ..Sample::default() },
        expect![
            "symbol_missing: cannot use `/liba.so`: it does not export `_1as_0lib_1header_0root_bmodule_bloader`, where a plugin begins; build it with powernode-plugin-api's export macro"
        ],
    );
    check(
        &Sample::noting("abi=1", "abi=x"),
        expect![
            "bad_note: cannot use `/liba.so`: the note's `abi` is `x.0`, expected `major.minor`; build it again"
        ],
    );
    check(
        &Sample::noting("slug=a\n", ""),
        expect!["bad_note: cannot use `/liba.so`: the note has no `slug`; build it again"],
    );
}

#[test]
fn a_note_is_held_against_manifest_and_platform() {
    check(
        &Sample::noting("abi=1.", "abi=2."),
        expect![
            "abi_revision: cannot use `/liba.so`: it is built against interface 2.0 of plugin-api, this platform has 1.0; build it with plugin-api 1.x, or use a platform of 2.x"
        ],
    );
    check(&Sample::noting("abi=1.0", "abi=1.99"), expect!["fine"]);
    check(
        &Sample::noting("slug=a", "slug=b"),
        expect![
            "note_mismatch: cannot use `/liba.so`: it says slug `b`, its manifest says `a`; stage or install it again"
        ],
    );
    check(
        &Sample::noting("\nversion=1.0.0", "\nversion=1.0.1"),
        expect![
            "note_mismatch: cannot use `/liba.so`: it says version `1.0.1`, its manifest says `1.0.0`; stage or install it again"
        ],
    );
    check(
        &Sample::noting("panic=unwind", "panic=abort"),
        expect![[
            r#"panic_abort: cannot use `/liba.so`: a panic in it ends the whole process (panic = "abort"); remove that line from its Cargo profile and build it again"#
        ]],
    );
    check(
        &Sample::noting("sdk=1.0.0", "sdk=new"),
        expect![
            "note_mismatch: cannot use `/liba.so`: it says plugin-api version `new`, its manifest says `a semantic version (unexpected character 'n' while parsing major version number)`; stage or install it again"
        ],
    );
    check(
        &Sample::noting(note::TARGET, "riscv64gc-unknown-linux-gnu"),
        expect![
            "no_library_for_target: cannot use `/extensions/a`: its manifest names no library for TARGET, only for riscv64gc-unknown-linux-gnu; build one for it"
        ],
    );
}

#[test]
fn the_manifest_may_not_claim_other_things() {
    for (field, value) in [("sdk", "1.0.1"), ("panic", "abort"), ("glibc", "2.99")] {
        let bench = Bench::new(&Sample::default()).unwrap();
        bench.claim(field, value);
        let refusal = bench.verify().unwrap_err();
        assert!(["note_mismatch", "panic_abort"].contains(&&*refusal.code), "{refusal}");
    }
}

#[test]
fn changed_bytes_are_refused() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let bytes = fs::read(bench.library()).unwrap();
    fs::write(bench.library(), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(bench.verify().unwrap_err().code, "size_mismatch");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    fs::write(bench.library(), &flipped).unwrap();
    assert_eq!(bench.verify().unwrap_err().code, "hash_mismatch");
    fs::write(bench.library(), "").unwrap();
    assert_eq!(bench.verify().unwrap_err().code, "size_refused");
    fs::remove_file(bench.library()).unwrap();
    bench.check(expect![
        "file_missing: cannot use `/extensions/a/lib/liba-#.so`: `liba-#.so` is not there"
    ]);
}

#[test]
fn a_cut_library_is_refused_even_under_its_own_hash() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let bytes = fs::read(bench.library()).unwrap();
    for end in (1..bytes.len()).step_by(97) {
        bench.forge(&bytes[..end]);
        let refusal = bench.verify().unwrap_err();
        let known = ["truncated", "not_a_library", "no_note", "symbol_missing", "bad_note"];
        assert!(known.contains(&&*refusal.code), "cut after {end}: {refusal}");
    }
}

#[test]
fn flipped_bytes_never_panic_the_reader() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let bytes = fs::read(bench.library()).unwrap();
    for at in (0..bytes.len()).step_by(3) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0xff;
        // Whether it can be read depends on the byte; that it answers is what matters.
        let _ = Image::read(&flipped);
    }
}

#[test]
fn what_is_no_library_is_refused() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let bytes = fs::read(bench.library()).unwrap();
    bench.forge(b"#!/bin/sh\nexit 0\n");
    bench.check(expect!["not_a_library: cannot use `/extensions/a/lib/liba-#.so`: it is no library for this machine's loader: Unknown file magic"]);
    let mut other = bytes.clone();
    other[18] = 183;
    bench.forge(&other);
    bench.check(expect!["wrong_machine: cannot use `/extensions/a/lib/liba-#.so`: it is built for aarch64, this platform runs on TARGET; install its build for that"]);
    let mut small = bytes;
    small[4] = 1;
    bench.forge(&small);
    assert_eq!(bench.verify().unwrap_err().code, "not_a_library");
}

#[test]
fn a_library_for_another_machine_only_is_named() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let path = bench.path("extensions/a/extension.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(note::TARGET, "riscv64gc-unknown-linux-gnu")).unwrap();
    bench.check(expect!["no_library_for_target: cannot use `/extensions/a`: its manifest names no library for TARGET, only for riscv64gc-unknown-linux-gnu; build one for it"]);
}

#[test]
fn the_machine_is_held_against_the_library() {
    let sample = Sample::with("#include <stdlib.h>\nvoid *f(void) { return malloc(1); }");
    let bench = Bench::new(&sample).unwrap();
    let verify = |host: Host| bench.text(verify(&bench.found(), &host).map(|it| it.warnings));
    let old = Host { glibc: "2.1".parse().ok(), ..Host::detect() };
    expect!["glibc_too_old: cannot use `/extensions/a/lib/liba-#.so`: it needs glibc 2.2.5, this system has 2.1; build it on an older system"].assert_eq(&verify(old));
    let weak = Host { missing_features: |_| vec!["avx512f".to_owned()], ..Host::detect() };
    expect!["processor_features: cannot use `/extensions/a/lib/liba-#.so`: it is built for processor features that this machine lacks: avx512f; build it without `target-cpu=native`"].assert_eq(&verify(weak));
}

#[test]
fn a_bundled_database_is_refused() {
    check(
        &Sample::with("int sqlite3_open_v2(void) { return 0; }"),
        expect![
            "bundled_sqlite: cannot use `/liba.so`: it brings its own SQLite (symbol `sqlite3_open_v2`): two in one process undo each other's file locks; use powernode-plugin-api's database instead"
        ],
    );
    check(
        &Sample { flags: vec!["-s"], ..Sample::with("const char text[] = \"SQLite format 3\";") },
        expect![
            "bundled_sqlite: cannot use `/liba.so`: it brings its own SQLite (the text `SQLite format 3` in its data): two in one process undo each other's file locks; use powernode-plugin-api's database instead"
        ],
    );
    check(
        &Sample::with("int PQexec(void) { return 0; }"),
        expect![
            "bundled_libpq: cannot use `/liba.so`: it brings its own libpq (symbol `PQexec`): its connections would escape the platform's pool and confinement; use powernode-plugin-api's database instead"
        ],
    );
    check(
        &Sample {
            flags: vec!["-s"],
            ..Sample::with(
                "const char a[] = \"PGSERVICEFILE\"; const char b[] = \"PGREQUIREPEER\";",
            )
        },
        expect![
            "bundled_libpq: cannot use `/liba.so`: it brings its own libpq (the text `PGSERVICEFILE` in its data): its connections would escape the platform's pool and confinement; use powernode-plugin-api's database instead"
        ],
    );
    check(
        &Sample::with(
            "extern int sqlite3_open_v2(void); int f(void) { return sqlite3_open_v2(); }",
        ),
        expect!["fine"],
    );
}

#[test]
fn a_needed_database_is_refused() {
    let bench = Bench::empty();
    let library = bench.path("libsqlite3.so.0");
    Sample {
        note: String::new(),
        code: "int y;".to_owned(),
        flags: vec!["-Wl,-soname,libsqlite3.so.0"],
    }
    .build(&library);
    let flag: &'static str = Box::leak(library.display().to_string().into_boxed_str());
    check(
        &Sample { flags: vec!["-Wl,--no-as-needed", flag], ..Sample::default() },
        expect![
            "bundled_sqlite: cannot use `/liba.so`: it brings its own SQLite (it needs `libsqlite3.so.0`): two in one process undo each other's file locks; use powernode-plugin-api's database instead"
        ],
    );
}

#[test]
fn another_allocator_and_static_tls_warn() {
    check(
        &Sample::with("void *mi_malloc(void) { return 0; }"),
        expect![[r#"
        fine
        the library brings mimalloc (symbol `mi_malloc`): memory must be freed by the side that made it"#]],
    );
    check(
        &Sample {
            flags: vec!["-ftls-model=initial-exec"],
            ..Sample::with("extern __thread int t; __thread int t; int f(void) { return t; }")
        },
        expect![[r#"
            fine
            the library uses static thread-local storage (DF_STATIC_TLS), of which a process has little; build it without an initial-exec model"#]],
    );
}

#[test]
fn links_are_refused_anywhere() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let (library, moved) = (bench.library(), bench.path("moved"));
    fs::rename(&library, &moved).unwrap();
    symlink(&moved, &library).unwrap();
    bench.check(expect!["symlink: cannot use `/extensions/a/lib/liba-#.so`: `liba-#.so` is a symbolic link; put the file itself there"]);
    fs::remove_file(&library).unwrap();
    fs::rename(&moved, &library).unwrap();
    fs::rename(bench.path("extensions/a/lib"), &moved).unwrap();
    symlink(&moved, bench.path("extensions/a/lib")).unwrap();
    bench.check(expect!["symlink: cannot use `/extensions/a/lib/liba-#.so`: `lib` is a symbolic link; put the file itself there"]);
    fs::rename(bench.path("extensions/a/extension.json"), bench.path("m")).unwrap();
    symlink(bench.path("m"), bench.path("extensions/a/extension.json")).unwrap();
    symlink(bench.path("extensions/a"), bench.path("extensions/b")).unwrap();
    bench.check_scan(expect![[r#"
        extensions/a: symlink: cannot use `/extensions/a/extension.json`: `extension.json` is a symbolic link; put the file itself there
        extensions/b: symlink: cannot use `/extensions/b`: `b` is a symbolic link; put the file itself there"#]]);
}

#[test]
fn what_everybody_may_write_is_refused() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let mode =
        |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(bench.library(), 0o666);
    bench.check(expect!["world_writable: cannot use `/extensions/a/lib/liba-#.so`: `liba-#.so` may be written by everybody (mode 666); run `chmod o-w` on it"]);
    mode(bench.library(), 0o644);
    mode(bench.path("extensions/a/lib"), 0o777);
    bench.check(expect!["world_writable: cannot use `/extensions/a/lib/liba-#.so`: `lib` may be written by everybody (mode 777); run `chmod o-w` on it"]);
    mode(bench.path("extensions/a/lib"), 0o755);
    mode(bench.path("extensions/a/extension.json"), 0o602);
    bench.check_scan(expect!["extensions/a: world_writable: cannot use `/extensions/a/extension.json`: `extension.json` may be written by everybody (mode 602); run `chmod o-w` on it"]);
    mode(bench.path("extensions/a"), 0o777);
    bench.check_scan(expect!["extensions/a: world_writable: cannot use `/extensions/a`: `a` may be written by everybody (mode 777); run `chmod o-w` on it"]);
    mode(bench.path("extensions/a"), 0o755);
    mode(bench.path("extensions"), 0o777);
    bench.check_scan(expect!["extensions/a: world_writable: cannot use `/extensions`: `/extensions` may be written by everybody (mode 777); run `chmod o-w` on it"]);
}

#[test]
fn what_a_stranger_owns_is_refused() {
    let file = tempfile::tempfile().unwrap();
    let mut stat = rustix::fs::fstat(&file).unwrap();
    let check = |stat, own| {
        dir::check_stat(&stat, "f", rustix::fs::FileType::RegularFile, own).map_err(|it| it.code())
    };
    stat.st_uid = 1000;
    assert_eq!(check(stat, 1000), Ok(()));
    assert_eq!(check(stat, 1001), Err("foreign_owner"));
    stat.st_uid = 0;
    assert_eq!(check(stat, 1001), Ok(()));
}

#[test]
fn a_scan_reads_both_groups_in_order() {
    let bench = Bench::empty();
    let write = |path: &str, text: &str| {
        let path = bench.path("extensions").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let manifest =
        |slug: &str| format!(r#"{{"name": "A", "slug": "{slug}", "version": "1.0.0", "icon": 1}}"#);
    write("README.md", "");
    write(".half/extension.json", "");
    write("empty/README.md", "");
    write("b/extension.json", &manifest("b"));
    write("private/a/extension.json", &manifest("a"));
    write("other/extension.json", &manifest("c"));
    write("broken/extension.json", "{");
    write("twice/extension.json", &manifest("twice"));
    write("private/twice/extension.json", &manifest("twice"));
    bench.check_scan(expect![[r#"
        extensions/private/a: fine
        unknown key `icon` is ignored
        extensions/b: fine
        unknown key `icon` is ignored
        extensions/broken: manifest_not_json: cannot use the manifest `/extensions/broken/extension.json`: it is not JSON: EOF while parsing an object at line 1 column 1
        extensions/other: directory_mismatch: cannot use `/extensions/other`: its manifest says slug `c`, its directory is called `other`; rename one of them
        extensions/twice: slug_duplicate: cannot use `/extensions/twice`: slug `twice` is installed twice, at `/extensions/twice` and `/extensions/private/twice`; remove one of them
        extensions/private/twice: slug_duplicate: cannot use `/extensions/private/twice`: slug `twice` is installed twice, at `/extensions/twice` and `/extensions/private/twice`; remove one of them"#]]);
}

#[test]
fn a_large_manifest_and_a_pipe_do_not_hold_up_the_scan() {
    let bench = Bench::empty();
    for name in ["large", "pipe"] {
        fs::create_dir(bench.path("extensions").join(name)).unwrap();
    }
    let large = fs::File::create(bench.path("extensions/large/extension.json")).unwrap();
    large.set_len(10 << 20).unwrap();
    let pipe = bench.path("extensions/pipe/extension.json");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    bench.check_scan(expect![[r#"
        extensions/large: manifest_too_large: cannot use the manifest `/extensions/large/extension.json`: it is larger than 1048576 bytes, the most a manifest may have
        extensions/pipe: wrong_file_kind: cannot use `/extensions/pipe/extension.json`: `extension.json` is no file"#]]);
}

#[test]
fn core_mode_has_nothing_to_scan() {
    assert!(scan(Path::new("/nonexistent/extensions")).is_empty());
}

#[test]
fn the_store_keeps_the_bytes_that_were_hashed() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let verified = bench.verify().unwrap();
    let original = fs::read(bench.library()).unwrap();
    // Swapped between the check and the opening.
    fs::write(bench.library(), "something else").unwrap();
    let store = Store::open(&bench.path("data")).unwrap();
    let path = store.put(&verified).unwrap();
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), format!("{}.so", verified.sha256));
    assert!(fs::read(&path).unwrap() == original);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o400, 0o700));
    assert_eq!(fs::read_dir(bench.path("data/store")).unwrap().count(), 1);
}

#[test]
fn a_damaged_entry_is_replaced_and_a_whole_one_is_kept() {
    use std::os::unix::fs::MetadataExt;
    let bench = Bench::new(&Sample::default()).unwrap();
    let verified = bench.verify().unwrap();
    let store = Store::open(&bench.path("data")).unwrap();
    let path = store.put(&verified).unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let first = inode(&path);
    store.put(&verified).unwrap();
    assert_eq!(inode(&path), first);
    let original = fs::read(&path).unwrap();
    let longer = [&original[..], b"x"].concat();
    for damaged in [&original[..100], &[0; 100][..], b"", &longer] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, damaged).unwrap();
        store.put(&verified).unwrap();
        assert!(fs::read(&path).unwrap() == original);
    }
    fs::remove_file(&path).unwrap();
    symlink(bench.library(), &path).unwrap();
    store.put(&verified).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn a_store_that_was_opened_up_is_closed_again() {
    let bench = Bench::empty();
    fs::create_dir_all(bench.path("data/store")).unwrap();
    fs::set_permissions(bench.path("data/store"), fs::Permissions::from_mode(0o777)).unwrap();
    Store::open(&bench.path("data")).unwrap();
    assert_eq!(fs::metadata(bench.path("data/store")).unwrap().permissions().mode() & 0o777, 0o700);
    fs::remove_dir(bench.path("data/store")).unwrap();
    symlink(bench.path("extensions"), bench.path("data/store")).unwrap();
    assert_eq!(Store::open(&bench.path("data")).unwrap_err().code, "wrong_file_kind");
}

#[test]
fn a_verdict_is_remembered_until_it_is_forgotten() {
    let bench = Bench::empty();
    let store = Store::open(&bench.path("data")).unwrap();
    let hash = Sha256::of(b"x");
    assert_eq!(store.verdict(hash), None);
    let crashed = ProbeVerdict::Crashed { signal: 6, stderr: "why".to_owned() };
    for verdict in [ProbeVerdict::Ok, crashed.clone()] {
        store.remember(hash, &verdict).unwrap();
        assert_eq!(store.verdict(hash), Some(verdict));
    }
    store.remember(hash, &ProbeVerdict::TimedOut { after_ms: 1, stderr: String::new() }).unwrap();
    assert_eq!(store.verdict(hash), Some(crashed));
    store.forget(hash).unwrap();
    assert_eq!(store.verdict(hash), None);
}

#[test]
fn a_mark_outlives_the_process() {
    let bench = Bench::empty();
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let marks = Activating::open(&bench.path("data")).unwrap();
    marks.set(&b, Sha256::of(b"b")).unwrap();
    marks.set(&a, Sha256::of(b"a")).unwrap();
    marks.clear(&b).unwrap();
    fs::write(bench.path("data/activating/cut"), "12").unwrap();
    let marks = Activating::open(&bench.path("data")).unwrap();
    let cut = "cut".parse().unwrap();
    assert_eq!(marks.leftovers(), [(a, Some(Sha256::of(b"a"))), (cut, None)]);
}

#[test]
fn staging_again_replaces_the_library_and_keeps_the_rest() {
    let bench = Bench::new(&Sample::default()).unwrap();
    fs::write(bench.path("extensions/a/README.md"), "x").unwrap();
    let first = bench.library();
    let manifest = r#"{"name": "A", "slug": "a", "version": "1.0.0", "icon": "kept",
        "library": {"riscv64gc-unknown-linux-gnu": {"path": "lib/r.so", "sdk": "1.0.0", "panic": "unwind",
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}}"#;
    let staged = bench.stage(&Sample::with("int more;"), manifest).unwrap();
    assert_ne!(bench.library(), first);
    assert!(!first.exists() && bench.path("extensions/a/README.md").exists());
    assert_eq!(staged.manifest.library.len(), 2);
    let text = fs::read_to_string(bench.path("extensions/a/extension.json")).unwrap();
    assert!(text.contains(r#""icon": "kept""#), "{text}");
    assert_eq!(bench.verify().unwrap().sha256, staged.library.sha256);
}

#[test]
fn a_private_extension_is_staged_apart() {
    let bench = Bench::empty();
    let manifest = r#"{"name": "A", "slug": "a", "version": "1.0.0", "visibility": "private"}"#;
    let staged = bench.stage(&Sample::default(), manifest).unwrap();
    assert_eq!(staged.directory, bench.path("extensions/private/a"));
    assert!(bench.found().private && bench.verify().is_ok());
}

#[test]
fn what_is_refused_is_not_staged() {
    let bench = Bench::empty();
    let refusal = bench
        .stage(&Sample::default(), r#"{"name": "A", "slug": "b", "version": "1.0.0"}"#)
        .unwrap_err();
    assert_eq!((&*refusal.code, refusal.stage), ("note_mismatch", manifest::Stage::Verify));
    assert_eq!(bench.stage(&Sample::default(), "{").unwrap_err().code, "manifest_not_json");
    assert_eq!(fs::read_dir(bench.path("extensions")).unwrap().count(), 0);
}
