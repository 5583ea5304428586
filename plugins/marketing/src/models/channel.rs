//! Where a message goes.

use powernode_plugin_api::text_enum;

text_enum! {
    /// Where a message goes.
    pub enum Channel {
        Email = "email",
        Twitter = "twitter",
        Linkedin = "linkedin",
        Facebook = "facebook",
        Instagram = "instagram",
        Sms = "sms",
        Chat = "chat",
    }
}
