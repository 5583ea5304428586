//! Enums that are a word in the database and for clients.

use std::fmt;

/// Makes an enum whose values are words: in a `Text` column, in JSON, in a query string.
///
/// ```
/// powernode_plugin_api::text_enum! {
///     /// How large a shirt is.
///     pub enum Size {
///         /// Fits nobody.
///         Small = "small",
///         /// Fits all.
///         Large = "large",
///     }
/// }
///
/// assert_eq!(Size::Small.as_str(), "small");
/// assert_eq!("huge".parse::<Size>().unwrap_err().to_string(), "must be one of small, large");
/// ```
#[macro_export]
macro_rules! text_enum {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$about:meta])* $variant:ident = $text:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = $crate::db::sql_types::Text)]
        $visibility enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::db::UnknownWord;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                match text {
                    $($text => ::std::result::Result::Ok(Self::$variant),)+
                    _ => ::std::result::Result::Err($crate::db::UnknownWord(&[$($text),+])),
                }
            }
        }

        impl $crate::export::serde::Serialize for $name {
            fn serialize<S: $crate::export::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> $crate::export::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::export::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                $crate::db::parsed(deserializer)
            }
        }

        impl $crate::export::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                ::std::stringify!($name).into()
            }

            fn json_schema(
                _: &mut $crate::export::schemars::SchemaGenerator,
            ) -> $crate::export::schemars::Schema {
                $crate::db::words(&[$($text),+])
            }
        }

        impl ::diesel::deserialize::FromSql<$crate::db::sql_types::Text, $crate::db::HostBackend>
            for $name
        {
            fn from_sql(value: $crate::db::HostValue<'_>) -> ::diesel::deserialize::Result<Self> {
                let text = <::std::string::String as ::diesel::deserialize::FromSql<
                    $crate::db::sql_types::Text,
                    $crate::db::HostBackend,
                >>::from_sql(value)?;
                ::std::result::Result::Ok(text.parse()?)
            }
        }

        impl ::diesel::serialize::ToSql<$crate::db::sql_types::Text, $crate::db::HostBackend>
            for $name
        {
            fn to_sql<'b>(
                &'b self,
                out: &mut ::diesel::serialize::Output<'b, '_, $crate::db::HostBackend>,
            ) -> ::diesel::serialize::Result {
                out.set_value(self.as_str());
                ::std::result::Result::Ok(::diesel::serialize::IsNull::No)
            }
        }
    };
}

/// A text is none of the words that it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord(#[doc(hidden)] pub &'static [&'static str]);

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be one of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// Reads a text, and parses it.
#[doc(hidden)]
pub fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: fmt::Display>,
    D: serde::Deserializer<'de>,
{
    let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// The JSON Schema of some words.
#[doc(hidden)]
pub fn words(words: &[&str]) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": words })
}
