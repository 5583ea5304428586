//! The signatures of a delivery: the Standard Webhooks headers (standardwebhooks.com, 1.0), and the one of the
//! extension guide.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;

use super::Secret;

/// The header of the extension guide: `sha256=` and the hexadecimal HMAC-SHA-256 of the body alone, under the newest
/// secret. It tells nothing of when a delivery was made; `webhook-signature` does.
pub const HEADER: &str = "X-Webhook-Signature";

/// The headers of a delivery under the secrets that hold, the newest first; `seconds` is when it is sent, since 1970.
///
/// `webhook-signature` is `v1,` and the base64 of HMAC-SHA-256 over `<id>.<seconds>.<body>`, once for each secret.
pub fn signed(id: &str, seconds: i64, body: &[u8], secrets: &[Secret]) -> Vec<(String, String)> {
    let stamped = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    let each = |secret: &Secret| format!("v1,{}", STANDARD.encode(mac(secret, &stamped)));
    let standard: Vec<_> = secrets.iter().map(each).collect();
    let mut headers = vec![
        ("webhook-id".to_owned(), id.to_owned()),
        ("webhook-timestamp".to_owned(), seconds.to_string()),
        ("webhook-signature".to_owned(), standard.join(" ")),
    ];
    if let Some(newest) = secrets.first() {
        let of_body = format!("sha256={}", hex::encode(mac(newest, body)));
        headers.push((HEADER.to_owned(), of_body));
    }
    headers
}

fn mac(secret: &Secret, text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.bytes()), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    fn header(headers: &[(String, String)], name: &str) -> String {
        headers.iter().find(|it| it.0 == name).unwrap().1.clone()
    }

    /// The example of the specification's libraries.
    #[test]
    fn the_standard_s_example_is_signed_as_there() {
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body, &[secret]);
        assert_eq!(
            header(&headers, "webhook-signature"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(header(&headers, "webhook-timestamp"), "1614265330");
    }

    #[test]
    fn while_a_secret_is_rotated_both_sign() {
        let (new, old) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let alone = signed("evt_1", 1, b"{}", std::slice::from_ref(&old));
        let both = signed("evt_1", 1, b"{}", &[new, old]);
        let standard = header(&both, "webhook-signature");
        let (_, second) = standard.split_once(' ').unwrap();
        assert_eq!(second, header(&alone, "webhook-signature"));
        assert_ne!(header(&both, HEADER), header(&alone, HEADER));
        assert!(header(&both, HEADER).starts_with("sha256="));
    }
}
