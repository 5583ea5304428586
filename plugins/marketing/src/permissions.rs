//! The permissions that the routes ask for; the manifest defines them.

#[cfg(test)]
const ALL: [&str; 3] = [CAMPAIGNS_READ, CAMPAIGNS_MANAGE, CAMPAIGNS_EXECUTE];

pub const CAMPAIGNS_READ: &str = "marketing.campaigns.read";
pub const CAMPAIGNS_MANAGE: &str = "marketing.campaigns.manage";
pub const CAMPAIGNS_EXECUTE: &str = "marketing.campaigns.execute";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_defines_each_of_them_and_no_other() {
        let manifest: serde_json::Value =
            serde_json::from_str(include_str!("../extension.json")).unwrap();
        let defined = manifest["permissions"].as_array().unwrap().iter();
        let defined: Vec<_> = defined.map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(defined, ALL);
    }
}
