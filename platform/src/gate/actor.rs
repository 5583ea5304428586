//! For whom a flag is asked: ids in the form `Class;id`, and the groups they may be in.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The longest id of an actor, in bytes.
pub const ACTOR_ID_MAX: usize = 63;

/// The id of an actor, `Class;id`, for example `Account;42`. It lies inline, so that asking for one costs no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct ActorId {
    len: u8,
    bytes: [u8; ACTOR_ID_MAX],
}

impl ActorId {
    /// Takes an id as a person or a file wrote it.
    ///
    /// # Errors
    ///
    /// [`BadActorId`] when it is not `Class;id`, is longer than [`ACTOR_ID_MAX`] bytes, or holds a space or a control character.
    pub fn new(text: &str) -> Result<ActorId, BadActorId> {
        let bad = |why| BadActorId { id: text.chars().take(80).collect(), why };
        let (class, id) = text.split_once(';').ok_or_else(|| bad("has no `;`"))?;
        if class.is_empty() || id.is_empty() {
            return Err(bad("lacks its class or its id"));
        }
        if text.len() > ACTOR_ID_MAX {
            return Err(bad("is longer than 63 bytes"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(bad("holds a space or a control character"));
        }
        Ok(ActorId::from_parts(&[text.as_bytes()]))
    }

    /// The actor that an account is: `Account;<uuid>`.
    pub fn account(id: Uuid) -> ActorId {
        ActorId::of_class(b"Account;", id)
    }

    /// The actor that a user is: `User;<uuid>`.
    pub fn user(id: Uuid) -> ActorId {
        ActorId::of_class(b"User;", id)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // The bytes came from a `str`, cut nowhere; the fallback is never taken.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn of_class(class: &[u8], id: Uuid) -> ActorId {
        let mut text = Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut text);
        ActorId::from_parts(&[class, text.as_bytes()])
    }

    fn from_parts(parts: &[&[u8]]) -> ActorId {
        let mut bytes = [0; ACTOR_ID_MAX];
        let mut len = 0;
        // Each fits: ids of other lengths were refused.
        for part in parts {
            if let Some(to) = bytes.get_mut(len..len + part.len()) {
                to.copy_from_slice(part);
                len += part.len();
            }
        }
        ActorId { len: len as u8, bytes }
    }
}

impl Ord for ActorId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for ActorId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorId({})", self.as_str())
    }
}

impl FromStr for ActorId {
    type Err = BadActorId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ActorId::new(text)
    }
}

impl Serialize for ActorId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ActorId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        ActorId::new(&text).map_err(serde::de::Error::custom)
    }
}

/// A text that is no actor's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{id}` {why}: an actor is written `Class;id`, for example `Account;42`")]
pub struct BadActorId {
    id: String,
    why: &'static str,
}

/// Who asks: an account, a user, or both, and what is known of them.
///
/// A percentage is drawn over all ids together, as Flipper does: with account and user it splits by user, with the
/// account alone it splits by account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    ids: [Option<ActorId>; 2],
    admin: bool,
}

impl Actor {
    /// An account, and nobody in particular in it.
    pub fn of_account(account: ActorId) -> Actor {
        Actor { ids: [Some(account), None], admin: false }
    }

    /// With the user on whose behalf the account asks.
    pub fn with_user(mut self, user: ActorId) -> Actor {
        self.ids[1] = Some(user);
        self
    }

    /// Says that the user administers this platform, which puts them into the group `admins`.
    pub fn with_admin(mut self, admin: bool) -> Actor {
        self.admin = admin;
        self
    }

    /// The ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &ActorId> {
        let [first, second] = &self.ids;
        let (first, second) = match (first, second) {
            (Some(a), Some(b)) if b < a => (second, first),
            _ => (first, second),
        };
        first.iter().chain(second.iter())
    }

    /// Whether the user administers this platform.
    pub fn is_admin(&self) -> bool {
        self.admin
    }
}

type InGroup = Arc<dyn Fn(&Actor) -> bool + Send + Sync>;

/// The groups that a flag can be opened for, by name.
///
/// A group is asked inside the gate's check, and an acknowledged toggle waits for that check: it answers from what the
/// actor carries, and never blocks.
#[derive(Clone, Default)]
pub struct Groups(BTreeMap<String, InGroup>);

impl Groups {
    /// The platform's own: `admins`, who administer it, and `users`, which is every signed-in user.
    pub fn standard() -> Groups {
        Groups::default()
            .with("admins", Actor::is_admin)
            .with("users", |actor| actor.ids[1].is_some())
    }

    /// With one more group, which replaces one of the same name.
    pub fn with(
        mut self,
        name: &str,
        contains: impl Fn(&Actor) -> bool + Send + Sync + 'static,
    ) -> Groups {
        self.0.insert(name.to_owned(), Arc::new(contains));
        self
    }

    /// Whether there is such a group.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether the actor is in the group; in a group that nobody registered is nobody.
    pub fn contains(&self, name: &str, actor: &Actor) -> bool {
        self.0.get(name).is_some_and(|contains| contains(actor))
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(text: &str, outcome: Expect) {
        outcome.assert_eq(&match ActorId::new(text) {
            Ok(id) => id.to_string(),
            Err(bad) => bad.to_string(),
        });
    }

    #[test]
    fn an_id_is_a_class_and_an_id() {
        check("Account;42", expect!["Account;42"]);
    }

    #[test]
    fn an_id_without_class_is_refused() {
        check(
            "42",
            expect!["`42` has no `;`: an actor is written `Class;id`, for example `Account;42`"],
        );
        check(
            "Account;",
            expect![
                "`Account;` lacks its class or its id: an actor is written `Class;id`, for example `Account;42`"
            ],
        );
    }

    #[test]
    fn an_id_holds_no_spaces() {
        check(
            "User; 1",
            expect![
                "`User; 1` holds a space or a control character: an actor is written `Class;id`, for example `Account;42`"
            ],
        );
    }

    #[test]
    fn an_id_too_long_to_lie_inline_is_refused_and_the_longest_is_whole() {
        let longest = format!("User;{}", "x".repeat(58));
        assert_eq!(ActorId::new(&longest).unwrap().as_str(), longest);
        assert!(ActorId::new(&format!("{longest}x")).is_err());
        assert!(ActorId::new(&format!("User;{}", "ü".repeat(30))).is_err());
    }

    #[test]
    fn accounts_and_users_are_written_with_their_class() {
        assert_eq!(
            ActorId::account(Uuid::nil()).as_str(),
            "Account;00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(
            ActorId::user(Uuid::nil()).as_str(),
            "User;00000000-0000-0000-0000-000000000000"
        );
    }

    #[test]
    fn ids_come_sorted() {
        let actor = Actor::of_account("Z;1".parse().unwrap()).with_user("A;1".parse().unwrap());
        assert_eq!(actor.ids().map(ActorId::as_str).collect::<Vec<_>>(), ["A;1", "Z;1"]);
    }

    #[test]
    fn nobody_is_in_a_group_that_nobody_registered() {
        let admin = Actor::default().with_admin(true);
        assert!(Groups::standard().contains("admins", &admin));
        assert!(!Groups::standard().contains("operators", &admin));
    }
}
