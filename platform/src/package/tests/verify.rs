use super::*;

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
            "bad_note: cannot use `/liba.so`: the note's `abi` is `x.1`, expected `major.minor`; build it again"
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
            "abi_revision: cannot use `/liba.so`: it is built against interface 2.1 of plugin-api, this platform has 1.1; build it with plugin-api 1.x, or use a platform of 2.x"
        ],
    );
    check(&Sample::noting("abi=1.1", "abi=1.99"), expect!["fine"]);
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
