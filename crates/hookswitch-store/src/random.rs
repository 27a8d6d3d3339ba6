//! Random bytes from the operating system.

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Random bytes from the operating system.
///
/// # Errors
/// If it has none.
pub fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| anyhow!("the operating system gives no random bytes; check /dev/urandom"))?;
    Ok(bytes)
}

/// A token of 256 random bits, fit for headers and URLs.
///
/// # Errors
/// If the operating system has no random bytes.
pub fn token() -> anyhow::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>()?))
}
