use super::*;

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
fn what_lies_in_a_known_store_is_taken_from_there_and_what_does_not_is_not_put_there() {
    let bench = Bench::new(&Sample::default()).unwrap();
    let verified = bench.verify().unwrap();
    let known = Store::open(&bench.path("data")).unwrap();
    let looking = || Store::open(&bench.path("aside")).unwrap().with_known(&bench.path("data"));
    let aside = looking().put(&verified).unwrap();
    assert!(aside.starts_with(bench.path("aside")), "{}", aside.display());
    assert_eq!(fs::read_dir(bench.path("data/store")).unwrap().count(), 0);
    let there = known.put(&verified).unwrap();
    known.remember(verified.sha256, &ProbeVerdict::Ok).unwrap();
    assert_eq!(looking().put(&verified).unwrap(), there);
    assert_eq!(looking().verdict(verified.sha256), Some(ProbeVerdict::Ok));
}
