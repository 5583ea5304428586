use super::*;

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
    write("b/README.md", "");
    write("private/b/README.md", "");
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
        cannot use `/extensions/private/b`: it holds no `extension.json`: put that there, or move the directory away
        extensions/broken: manifest_not_json: cannot use the manifest `/extensions/broken/extension.json`: it is not JSON: EOF while parsing an object at line 1 column 1
        extensions/empty: no_manifest: cannot use `/extensions/empty`: it holds no `extension.json`: put that there, or move the directory away
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
