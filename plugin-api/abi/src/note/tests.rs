use super::*;

const PIECES: [&str; PARTS] = parts("1.0.0", "marketing", "0.1.0");
static SAMPLE: [u8; len(&PIECES)] = join(&PIECES);

const TEXT: &str = "powernode-note 1\nabi=1.0\nsdk=1.0.0\nslug=a\nversion=0.1.0\nrustc=1.95.0\n\
                    target=t\nfeatures=sse,sse2\npanic=unwind\nprofile=debug\nend\n";

#[track_caller]
fn check(section: impl AsRef<[u8]>, outcome: &str) {
    let found = match Note::parse(section.as_ref()) {
        Ok(note) => format!("{} {} abi {} {:?}", note.slug, note.version, note.abi, note.other),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, outcome);
}

#[test]
fn what_was_joined_is_read() {
    check(SAMPLE, "marketing 0.1.0 abi 1.1 {}");
}

#[test]
fn it_names_this_build() {
    let note = Note::parse(&SAMPLE).unwrap();
    assert_eq!((note.abi, note.panic.as_str()), (Revision::own(), "unwind"));
    assert_eq!(Revision::own().to_string(), ABI_VERSION);
    assert_ne!((RUSTC, TARGET, PROFILE), ("unknown", "", ""));
}

#[test]
fn padding_is_no_content() {
    check(format!("{TEXT}\0\0\0"), "a 0.1.0 abi 1.0 {}");
}

#[test]
fn an_unknown_key_is_kept() {
    check(TEXT.replace("end\n", "later=x\nend\n"), r#"a 0.1.0 abi 1.0 {"later": "x"}"#);
}

#[test]
fn every_missing_key_is_named() {
    for key in ["abi", "sdk", "slug", "version", "rustc", "target", "features", "panic", "profile"]
    {
        let lines = TEXT.split_inclusive('\n');
        let without: String = lines.filter(|line| !line.starts_with(&format!("{key}="))).collect();
        check(without, &format!("the note has no `{key}`"));
    }
}

#[test]
fn a_note_cut_anywhere_is_refused() {
    for end in 0..TEXT.len() {
        assert!(Note::parse(&TEXT.as_bytes()[..end]).is_err(), "cut after {end} bytes");
    }
}

#[test]
fn other_content_is_refused() {
    check([0xff, 0xfe], "the note is not text");
    check("", "the note begins with ``, expected `powernode-note 1`");
    check(
        "powernode-note 2\n",
        "the note begins with `powernode-note 2`, expected `powernode-note 1`",
    );
    check([b'x'; 9000], "the note has 9000 bytes, at most 8192 are read");
    check(TEXT.replace("abi=1.0", "abi=one"), "the note's `abi` is `one`, expected `major.minor`");
    check(TEXT.replace("sdk=1.0.0", "sdk"), "line 3 of the note is not `key=value`");
    check(TEXT.replace("sdk=", "slug="), "the note has `slug` twice");
    check(TEXT.repeat(2), "the note is followed by something else");
}
