//! Signatures by which a receiver knows that a notification is ours (Standard Webhooks 1.0).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Beginning of secrets.
const PREFIX: &str = "whsec_";

/// Length that a secret may have, in bytes.
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

    /// A request as a receiver gets it.
    #[derive(Clone)]
    struct Request {
        /// `webhook-id`, `webhook-timestamp` and `webhook-signature`.
        headers: [Vec<u8>; 3],
        body: Vec<u8>,
    }

    impl Request {
        const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

        /// The same with one bit changed, anywhere.
        fn changed(&self, random: &mut fastrand::Rng) -> Self {
            let mut changed = self.clone();
            let field = random.usize(if self.body.is_empty() { 0..3 } else { 0..4 });
            let bytes = changed.headers.get_mut(field).unwrap_or(&mut changed.body);
            // The last two characters of base64 have bits that no reader looks at.
            let end = bytes.len() - if field == 2 { 2 } else { 0 };
            bytes[random.usize(..end)] ^= 1 << random.u8(..8);
            changed
        }

        /// As a line for the verifiers of other languages; none if a header is no text then.
        fn line(&self, kind: &str) -> Option<String> {
            let mut headers = serde_json::Map::new();
            for (name, value) in Self::HEADERS.iter().zip(&self.headers) {
                headers.insert((*name).to_owned(), std::str::from_utf8(value).ok()?.into());
            }
            let body = STANDARD.encode(&self.body);
            Some(serde_json::json!({"kind": kind, "headers": headers, "body": body}).to_string())
        }

        /// Returns `true` if the verifier of this language takes it.
        fn is_accepted(&self, verifier: &standardwebhooks::Webhook) -> bool {
            let mut headers = hyper::HeaderMap::new();
            for (name, value) in Self::HEADERS.iter().zip(&self.headers) {
                let Ok(value) = hyper::header::HeaderValue::from_bytes(value) else { return false };
                headers.insert(*name, value);
            }
            verifier.verify(&self.body, &headers).is_ok()
        }
    }

    /// Texts in many scripts, of every length from nothing to a mebibyte.
    fn body(number: usize, random: &mut fastrand::Rng) -> Vec<u8> {
        let magnitude = random.u32(1..16);
        let length = match number {
            0 => 0,
            1 => 1024 * 1024,
            _ => random.usize(..1 << magnitude),
        };
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let next = if random.bool() { random.char('\0'..='~') } else { random.char('\u{80}'..) };
            text.push(if text.len() + next.len_utf8() > length { 'x' } else { next });
        }
        assert_eq!(text.len(), length);
        text.into_bytes()
    }

    #[test]
    fn published_verifiers_accept_what_is_sent_and_nothing_that_was_changed() {
        const REQUESTS: usize = 1000;
        let mut random = fastrand::Rng::with_seed(7);
        let secret =
            format!("whsec_{}", STANDARD.encode(std::array::from_fn::<u8, 32, _>(|_| random.u8(..))));
        let key = SigningKey::parse(&secret).expect("a secret");
        let now = crate::clock::wall().as_micros() / 1_000_000;
        let sent: Vec<Request> = (0..REQUESTS)
            .map(|number| {
                let (id, body) = (random.u64(..).to_string(), body(number, &mut random));
                let signature = key.sign(&id, now, &body);
                Request { headers: [id, now.to_string(), signature].map(String::into_bytes), body }
            })
            .collect();
        let changed: Vec<Request> = sent.iter().map(|request| request.changed(&mut random)).collect();

        let verifier = standardwebhooks::Webhook::new(&secret).expect("a secret");
        let accepted =
            |requests: &[Request]| requests.iter().filter(|one| one.is_accepted(&verifier)).count();
        assert_eq!((accepted(&sent), accepted(&changed)), (REQUESTS, 0), "Rust");

        let mut input = format!("{secret}\n");
        for (kind, requests) in [("sent", &sent), ("changed", &changed)] {
            for line in requests.iter().filter_map(|request| request.line(kind)) {
                input.extend([&line, "\n"]);
            }
        }
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let tools = root.join("../../target/tools");
        for (language, command, installed, script) in [
            ("JavaScript", "node".into(), "npm/node_modules/standardwebhooks", "verify.js"),
            ("Python", tools.join("python/bin/python"), "python/bin/python", "verify.py"),
        ] {
            if !tools.join(installed).exists() {
                eprintln!("skipped: {language}; ci/setup target/tools installs {installed}");
                continue;
            }
            let mut process = std::process::Command::new(command)
                .arg(root.join("tests/clients").join(script))
                .env("NODE_PATH", tools.join("npm/node_modules"))
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("it starts");
            let mut stdin = process.stdin.take().expect("a pipe");
            std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("it reads");
            drop(stdin);
            let output = process.wait_with_output().expect("it ends");
            let counts = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(counts.trim(), format!("{REQUESTS} 0"), "{language}");
        }
    }
}
