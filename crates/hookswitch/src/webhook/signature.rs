//! Signatures by which a receiver knows that a notification is ours (Standard Webhooks 1.0).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What secrets begin with.
const PREFIX: &str = "whsec_";

/// How long a secret may be, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A text that is no secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is whsec_ and 24 to 64 bytes in base64")]
pub(crate) struct SecretError;

/// The key by which the notifications of a subscription are signed.
#[derive(Clone)]
pub(crate) struct SigningKey(hmac::Key);

impl SigningKey {
    /// Reads a secret as receivers have it.
    ///
    /// # Errors
    /// If it has another form.
    pub(crate) fn parse(secret: &str) -> Result<Self, SecretError> {
        let encoded = secret.strip_prefix(PREFIX).ok_or(SecretError)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError)?;
        if !SECRET_BYTES.contains(&key.len()) {
            return Err(SecretError);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The value of `webhook-signature` for a notification that is sent at this time, in seconds
    /// since 1970.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(key)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        // The example of the specification.
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let body = br#"{"test": 2432232314}"#;
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_of_another_form_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        assert!(SigningKey::parse(&of(24)).is_ok() && SigningKey::parse(&of(64)).is_ok());
        for bad in [&of(23), &of(65), "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64!", ""] {
            assert_eq!(SigningKey::parse(bad).err(), Some(SecretError), "{bad}");
        }
    }
}
