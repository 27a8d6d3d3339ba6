//! Secrets: how they are made, compared, and kept out of sight.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip128::SipHasher24;
use subtle::ConstantTimeEq as _;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns `true` if this is the same secret; takes the same time wherever they differ.
    pub fn is(&self, other: &[u8]) -> bool {
        // Digests have one length, so that the comparison does not tell that of the secret.
        Digest::of(self.0.as_bytes()).is(&Digest::of(other))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The SHA-256 digest of a secret that is random enough not to be guessed: a token, a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a text.
    ///
    /// # Panics
    /// Never: SHA-256 has 32 bytes.
    pub fn of(text: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, text);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Its first half, where a shorter key will do.
    pub fn prefix(&self) -> [u8; 16] {
        std::array::from_fn(|index| self.0[index])
    }

    /// Returns `true` if two digests are the same; takes the same time wherever they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(digest)")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        let bytes = bytes.filter(|_| text.len() == 64).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            serde::de::Error::custom("a SHA-256 digest is 64 hexadecimal digits; sha256sum prints one")
        })
    }
}

/// Random bytes from the operating system.
///
/// # Errors
/// If it has none.
pub fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| anyhow!("the operating system gives no random bytes; check /dev/urandom"))?;
    Ok(bytes)
}

/// A token of 256 random bits, fit for headers and URLs.
pub fn token() -> anyhow::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// A secret by which notifications are signed (Standard Webhooks), of 192 random bits.
pub fn signing_secret() -> anyhow::Result<String> {
    Ok(format!("whsec_{}", STANDARD.encode(random::<24>()?)))
}

/// Hashes a secret that people may choose, or that is kept for long, with argon2id.
///
/// 19 MiB and two passes are what OWASP asks for at least.
pub fn hash(secret: &str) -> anyhow::Result<String> {
    let hash = argon2().hash_password_with_salt(secret.as_bytes(), &random::<16>()?);
    Ok(hash.map_err(|error| anyhow!("cannot hash a secret: {error}"))?.to_string())
}

/// Returns `true` if a secret is the one that was hashed.
pub fn verify(secret: &str, hash: &str) -> bool {
    argon2().verify_password(secret.as_bytes(), hash).is_ok()
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).unwrap_or_default())
}

/// The key of an installation, from which those for each purpose are derived.
#[derive(Clone)]
pub struct Key {
    assertions: hmac::Key,
    tokens: hmac::Key,
    /// For secrets that are needed again as they are.
    kept: LessSafeKey,
    seals: hmac::Key,
    /// For what is signed very often, and says nothing that is secret.
    marks: [u8; 16],
    identity: Arc<str>,
}

impl Key {
    /// Derives the keys from 32 random bytes.
    ///
    /// # Panics
    /// Never: SHA-256 has 32 bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let derive = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, derive(purpose).as_ref());
        let identity = derive("identity");
        let identity =
            identity.as_ref().iter().take(8).fold(String::from("urn:hookswitch:"), |mut text, byte| {
                let _ = write!(text, "{byte:02x}"); // writing to memory does not fail
                text
            });
        let kept = UnboundKey::new(&AES_256_GCM, derive("kept").as_ref()).expect("SHA-256 has 32 bytes");
        Self {
            assertions: key("assertions"),
            tokens: key("tokens"),
            seals: key("seals"),
            marks: std::array::from_fn(|index| derive("marks").as_ref()[index]),
            kept: LessSafeKey::new(kept),
            identity: identity.into(),
        }
    }

    /// Reads the file that `hookswitch init` has made.
    ///
    /// # Errors
    /// If it is not there, or is no key.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let bytes = std::fs::read(path).with_context(|| {
            format!(
                "cannot read {name}; set oauth.key_file to the secret.key that `hookswitch init` has made"
            )
        })?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|bytes| {
            anyhow!("{name} has {} bytes, and a key has 32; restore the file from a backup", bytes.len())
        })?;
        Ok(Self::new(&bytes))
    }

    /// By which JWTs name this installation, whatever its address is.
    pub fn identity(&self) -> Arc<str> {
        self.identity.clone()
    }

    /// The signature of a user's JWT (HMAC-SHA256).
    pub(crate) fn sign_assertion(&self, text: &[u8]) -> hmac::Tag {
        hmac::sign(&self.assertions, text)
    }

    /// Returns `true` if a signature is ours; takes the same time wherever it differs.
    pub(crate) fn has_signed_assertion(&self, text: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.assertions, text, tag).is_ok()
    }

    /// Encrypts a secret that will be needed as it is, for the store (AES-256-GCM, random nonce).
    ///
    /// # Errors
    /// If the operating system has no random bytes.
    pub(crate) fn encrypt(&self, secret: &str) -> anyhow::Result<String> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut bytes = secret.as_bytes().to_vec();
        self.kept
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes)
            .map_err(|_| anyhow!("the secret is too long"))?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &bytes].concat()))
    }

    /// Returns what was encrypted; none if it was by another key, or is damaged.
    pub(crate) fn decrypt(&self, text: &str) -> Option<String> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, content) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let secret = self.kept.open_in_place(nonce, Aad::empty(), content).ok()?;
        String::from_utf8(secret.to_vec()).ok()
    }

    /// A short text, fit for URLs, that says these bytes and that nobody without the key can make: SipHash with a
    /// tag of 128 bits, which takes a tenth of the time of `Key::seal`.
    pub fn mark(&self, content: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([content, &self.mark_tag(content)].concat())
    }

    /// The bytes that were marked; none if the text is not one that [`Key::mark`] has made.
    pub(crate) fn unmark(&self, text: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let tag = bytes.split_off(bytes.len().checked_sub(16)?);
        bool::from(self.mark_tag(&bytes).ct_eq(&tag[..])).then_some(bytes)
    }

    fn mark_tag(&self, content: &[u8]) -> [u8; 16] {
        SipHasher24::new_with_key(&self.marks).hash(content).as_bytes()
    }

    /// A text, fit for headers and URLs, that says these bytes and that nobody without the key can make.
    pub(crate) fn seal(&self, purpose: &str, content: &[u8]) -> String {
        let tag = self.seal_tag(purpose, content);
        URL_SAFE_NO_PAD.encode([content, tag.as_ref()].concat())
    }

    /// The bytes that were sealed for a purpose; none if the text is not one that `Key::seal` has made.
    pub(crate) fn unseal(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let tag = bytes.split_off(bytes.len().checked_sub(digest::SHA256_OUTPUT_LEN)?);
        let sealed = self.seal_tag(purpose, &bytes);
        bool::from(sealed.as_ref().ct_eq(&tag)).then_some(bytes)
    }

    fn seal_tag(&self, purpose: &str, content: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.seals);
        context.update(purpose.as_bytes());
        context.update(&[0]); // no purpose has it, so none is the beginning of another
        context.update(content);
        context.sign()
    }

    /// A token that follows from another in one way only, and that nobody without the key can tell.
    pub(crate) fn token_after(&self, purpose: &str, token: &str) -> String {
        let tag = hmac::sign(&self.tokens, format!("{purpose} {token}").as_bytes());
        URL_SAFE_NO_PAD.encode(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_fits_its_secret_alone() {
        let hashed = hash("correct horse").unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(verify("correct horse", &hashed));
        assert!(!verify("correct horses", &hashed));
        assert!(!verify("correct horse", "not a hash"));
    }

    #[test]
    fn digests_are_written_in_hexadecimal_digits() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(serde_json::from_value::<Digest>(text.into()).unwrap(), digest);
        assert!(serde_json::from_value::<Digest>(text[1..].into()).is_err());
        assert!(digest.is(&Digest::of(b"abc")) && !digest.is(&Digest::of(b"abd")));
    }

    #[test]
    fn what_was_encrypted_is_read_with_the_same_key_alone() {
        let key = Key::new(&[7; 32]);
        let text = key.encrypt("whsec_secret").unwrap();
        assert_ne!(text, key.encrypt("whsec_secret").unwrap());
        assert_eq!(key.decrypt(&text).as_deref(), Some("whsec_secret"));
        assert_eq!(Key::new(&[8; 32]).decrypt(&text), None);
        for damaged in [&text[..text.len() - 1], &text[1..], "", "whsec_secret"] {
            assert_eq!(key.decrypt(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn what_was_sealed_is_read_for_its_purpose_alone() {
        let key = Key::new(&[7; 32]);
        let text = key.seal("a", b"content");
        assert_eq!(key.unseal("a", &text).as_deref(), Some(&b"content"[..]));
        assert_eq!(key.unseal("b", &text), None);
        assert_eq!(Key::new(&[8; 32]).unseal("a", &text), None);
        let mark = key.mark(b"content");
        assert_eq!(key.unmark(&mark).as_deref(), Some(&b"content"[..]));
        assert_eq!(Key::new(&[8; 32]).unmark(&mark), None);
        assert!((0..mark.len()).all(|end| key.unmark(&mark[..end]).is_none()));
        for end in 0..text.len() {
            assert_eq!(key.unseal("a", &text[..end]), None);
        }
    }

    #[test]
    fn a_token_that_follows_another_is_always_the_same() {
        let key = Key::new(&[7; 32]);
        let next = key.token_after("access", "a");
        assert_eq!(next.len(), 43);
        assert_eq!(next, key.token_after("access", "a"));
        assert_ne!(next, key.token_after("refresh", "a"));
        assert_ne!(next, Key::new(&[8; 32]).token_after("access", "a"));
        assert_eq!(key.identity().len(), "urn:hookswitch:".len() + 16);
    }
}
