//! The form in which PostgreSQL keeps a password, made on this side.
//!
//! A password that is sent in a statement may end in the server's log; this may stand there.

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
    hmac, pbkdf2,
    rand::{SecureRandom, SystemRandom},
};

const ROUNDS: u32 = 4096;

/// A new password of 256 random bits; none where the system gives no random numbers.
pub(super) fn password() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}

/// What PostgreSQL keeps of `password`, with a new salt; none where the system gives no random numbers.
pub(super) fn verifier(password: &str) -> Option<String> {
    let mut salt = [0; 16];
    SystemRandom::new().fill(&mut salt).ok()?;
    Some(salted(password, &salt))
}

fn salted(password: &str, salt: &[u8]) -> String {
    let mut key = [0; SHA256_OUTPUT_LEN];
    let rounds = NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), &mut key);
    let sign = |text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text);
    let stored = digest(&SHA256, sign(b"Client Key").as_ref());
    let server = sign(b"Server Key");
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    format!(
        "SCRAM-SHA-256${ROUNDS}:{}${}:{}",
        text(salt),
        text(stored.as_ref()),
        text(server.as_ref())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_what_the_standard_says() {
        // RFC 7677's example, with its salt, its password and its rounds.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let text = salted("pencil", &salt);
        assert_eq!(
            text,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }
}
