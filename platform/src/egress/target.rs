//! Which addresses may be connected to.

use std::{
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::config::Network;

/// Addresses that are not of the public internet, by IANA's registries of special purposes (RFC 6890 and later).
const SPECIAL: [&str; 30] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

static NOT_PUBLIC: LazyLock<Vec<Network>> =
    LazyLock::new(|| SPECIAL.iter().filter_map(|it| it.parse().ok()).collect());

/// Where requests may go: public addresses, and what the operator allows besides.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    allowed: Vec<Network>,
}

/// A target that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{host}` is refused: it leads to {address}, which is not public; the operator allows networks with `egress.allow`"
)]
pub struct Refused {
    host: String,
    address: IpAddr,
}

impl Targets {
    /// Public addresses, and these.
    pub fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Whether an address may be connected to.
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |networks: &[Network]| networks.iter().any(|it| it.contains(address));
        within(&self.allowed) || !within(&NOT_PUBLIC)
    }

    /// Whether an address in the web may be asked, as far as that can be said without resolving a name.
    ///
    /// # Errors
    ///
    /// [`Refused`] for a number that is not public, however it is spelt.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.allow(address) => Err(Refused { host: host.to_owned(), address }),
            _ => Ok(()),
        }
    }

    /// Whether an address in the web is a number that is not public, or `localhost`.
    pub fn is_private(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_public = |address: IpAddr| !NOT_PUBLIC.iter().any(|it| it.contains(address));
        literal.map_or_else(|_| host == "localhost", |it| !is_public(it.to_canonical()))
    }

    /// What of `found` may be connected to.
    ///
    /// # Errors
    ///
    /// [`Refused`] where nothing is left.
    fn chosen(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let (allowed, refused): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|it| self.allow(it.ip()));
        match (allowed.is_empty(), refused.first()) {
            (true, Some(one)) => Err(Refused { host: host.to_owned(), address: one.ip() }),
            _ => Ok(allowed),
        }
    }
}

/// Names lead to what is allowed alone: the very addresses that are judged are connected to.
impl Resolve for Targets {
    fn resolve(&self, name: Name) -> Resolving {
        let targets = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<_> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(targets.chosen(&host, found)?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(targets: &Targets, address: &str) -> bool {
        targets.allow(address.parse().unwrap())
    }

    #[test]
    fn every_range_is_one() {
        assert_eq!(NOT_PUBLIC.len(), SPECIAL.len());
    }

    #[test]
    fn public_addresses_are_allowed_and_no_others() {
        let targets = Targets::default();
        for public in ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1"] {
            assert!(allows(&targets, public), "{public}");
        }
        for other in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:1::",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!allows(&targets, other), "{other}");
        }
    }

    #[test]
    fn the_operator_allows_more() {
        let targets = Targets::new(vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        assert!(allows(&targets, "127.0.0.1") && allows(&targets, "::1"));
        assert!(!allows(&targets, "10.0.0.1"));
    }

    #[test]
    fn a_number_is_refused_however_it_is_spelt() {
        let check = |url: &str| Targets::default().check(&Url::parse(url).unwrap());
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://user@10.0.0.1:80/",
            "https://169.254.169.254/latest",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
        assert!(check("https://1.1.1.1/").is_ok() && check("https://example.com/").is_ok());
    }

    #[test]
    fn of_what_a_name_leads_to_what_is_not_public_is_left_out() {
        let chosen = |found: &[&str]| {
            let found = found.iter().map(|it| it.parse().unwrap()).collect();
            Targets::default().chosen("rebind.test", found).map(|it| it.len())
        };
        assert_eq!(chosen(&["1.1.1.1:0", "10.0.0.1:0"]), Ok(1));
        assert_eq!(
            chosen(&["10.0.0.1:0"]).unwrap_err().to_string(),
            "`rebind.test` is refused: it leads to 10.0.0.1, which is not public; the operator allows networks with `egress.allow`"
        );
    }
}
