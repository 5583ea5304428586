use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entry in the navigation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NavEntry {
    /// What it says.
    pub label: String,
    /// The page it leads to, such as `/marketing/campaigns`.
    #[schemars(regex(pattern = r"^/[^/]"))]
    pub href: String,
    /// The name of its icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Its place: smaller comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i32>,
    /// The group it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The permission without which it is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Another extension without which it is not shown.
    #[serde(default, rename = "extensionOnly", skip_serializing_if = "Option::is_none")]
    pub extension_only: Option<String>,
    /// The older way to say `"extensionOnly": "business"`.
    #[serde(default, rename = "businessOnly", skip_serializing_if = "std::ops::Not::not")]
    pub business_only: bool,
}

/// The bundle with an extension's pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frontend {
    /// The version of the page contract.
    pub api: u32,
    /// The set of libraries that its pages expect, such as `react19`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The module to import, relative to the extension's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Its style sheets, relative to the extension's directory.
    #[serde(default)]
    pub css: Vec<String>,
}
