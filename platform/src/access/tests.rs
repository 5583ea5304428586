use super::*;

#[test]
fn scopes_cover_by_name_by_beginning_or_all() {
    let scopes = |list: &[&str]| Scopes::new(list.iter().map(|it| (*it).to_owned()).collect());
    let covers = |list: &[&str], it: &str| scopes(list).is_ok_and(|scopes| scopes.cover(it));
    assert!(covers(&["*"], "marketing.campaigns.read"));
    assert!(covers(&["marketing.*"], "marketing.campaigns.read"));
    assert!(!covers(&["marketing.*"], "marketingx.read"));
    assert!(covers(&["reports.read"], "reports.read"));
    assert!(!covers(&["reports.read"], "reports.read_all"));
    assert_eq!(scopes(&["Reports"]), Err("Reports".to_owned()));
    assert_eq!(scopes(&["a..b"]), Err("a..b".to_owned()));
}

#[test]
fn a_secret_shows_its_prefix_only() {
    let secret = Secret::generate().unwrap();
    assert!(secret.text.starts_with(&secret.prefix));
    assert_eq!((secret.prefix.len(), secret.text.len()), (11, 55));
    assert!(!format!("{secret:?}").contains(&secret.text));
}
