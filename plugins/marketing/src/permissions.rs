//! The permissions that the routes ask for; the manifest defines them.

pub const CAMPAIGNS_READ: &str = "marketing.campaigns.read";
pub const CAMPAIGNS_MANAGE: &str = "marketing.campaigns.manage";
pub const CAMPAIGNS_EXECUTE: &str = "marketing.campaigns.execute";
pub const CONTENT_APPROVE: &str = "marketing.content.approve";
pub const EMAIL_LISTS_READ: &str = "marketing.email_lists.read";
pub const EMAIL_LISTS_MANAGE: &str = "marketing.email_lists.manage";
pub const CALENDAR_READ: &str = "marketing.calendar.read";
pub const CALENDAR_MANAGE: &str = "marketing.calendar.manage";
pub const SOCIAL_READ: &str = "marketing.social.read";
pub const SOCIAL_MANAGE: &str = "marketing.social.manage";
pub const ANALYTICS_READ: &str = "marketing.analytics.read";
pub const ANALYTICS_MANAGE: &str = "marketing.analytics.manage";
pub const MAIL_MANAGE: &str = "marketing.mail.manage";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_defines_each_of_them_and_no_other() {
        let manifest: serde_json::Value =
            serde_json::from_str(include_str!("../extension.json")).unwrap();
        let defined = manifest["permissions"].as_array().unwrap().iter();
        let defined: Vec<_> = defined.map(|it| it["name"].as_str().unwrap()).collect();
        let asked = [
            CAMPAIGNS_READ,
            CAMPAIGNS_MANAGE,
            CAMPAIGNS_EXECUTE,
            CONTENT_APPROVE,
            EMAIL_LISTS_READ,
            EMAIL_LISTS_MANAGE,
            CALENDAR_READ,
            CALENDAR_MANAGE,
            SOCIAL_READ,
            SOCIAL_MANAGE,
            ANALYTICS_READ,
            ANALYTICS_MANAGE,
            MAIL_MANAGE,
        ];
        assert_eq!(defined, asked);
    }
}
