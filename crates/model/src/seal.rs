//! Sealing of secrets at rest: AES-256-GCM under a key that lives outside the store.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Bytes of a sealing key.
pub const SEAL_KEY_BYTES: usize = 32;

/// Why something cannot be unsealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text of the key is no base64 of 32 bytes.
    #[error("the secret key must be 32 bytes in base64")]
    BadKey,
    /// It was sealed under another key.
    #[error("sealed under another secret key (its id is {sealed_under:08x}, the key given is {given:08x})")]
    OtherKey {
        /// The id of the key that sealed it.
        sealed_under: u32,
        /// The id of the key at hand.
        given: u32,
    },
    /// It was changed, or belongs elsewhere.
    #[error("the sealed value is damaged or does not belong here")]
    Damaged,
}

/// The key that seals secrets at rest.
pub struct SealKey {
    id: u32,
    key: LessSafeKey,
    /// What further keys are derived from.
    root: Prk,
}

/// The length of a derived key.
struct DerivedBytes;

impl KeyType for DerivedBytes {
    fn len(&self) -> usize {
        SEAL_KEY_BYTES
    }
}

impl SealKey {
    /// The key of these 32 bytes.
    ///
    /// # Errors
    /// `SealError::BadKey` where there are not 32 of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let unbound = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| SealError::BadKey)?;
        let hash = digest::digest(&digest::SHA256, bytes);
        let id = hash.as_ref().iter().take(4).fold(0u32, |id, byte| (id << 8) | u32::from(*byte));
        Ok(Self {
            id,
            key: LessSafeKey::new(unbound),
            root: Salt::new(HKDF_SHA256, b"postrider").extract(bytes),
        })
    }

    /// Reads 32 bytes in base64; white space around them is left out.
    ///
    /// # Errors
    /// `SealError::BadKey` where it is something else.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| SealError::BadKey)?);
        Self::from_bytes(&bytes)
    }

    /// Tells keys apart without saying anything of them: the first 32 bits of their SHA-256.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Another key of 32 bytes, for this purpose alone (HKDF-SHA256, RFC 5869): it says nothing of this key, nor of those for other
    /// purposes, and is the same as long as this key is.
    ///
    /// # Errors
    /// `SealError::BadKey` where it cannot be derived, which does not happen at this length.
    pub fn derive(&self, purpose: &str) -> Result<Zeroizing<[u8; SEAL_KEY_BYTES]>, SealError> {
        let mut bytes = Zeroizing::new([0u8; SEAL_KEY_BYTES]);
        let info = [purpose.as_bytes()];
        let derived = self.root.expand(&info, DerivedBytes).map_err(|_| SealError::BadKey)?;
        derived.fill(bytes.as_mut_slice()).map_err(|_| SealError::BadKey)?;
        Ok(bytes)
    }

    /// Seals `plain` for the place that `context` names: key id, nonce, ciphertext and tag in one value.
    /// It opens only with the same context, so a value cannot be moved from one row to another.
    pub fn seal(&self, plain: &[u8], context: &[u8], nonce: [u8; NONCE_LEN]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(4 + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        let mut in_out = plain.to_vec();
        sealed.extend_from_slice(&self.id.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut in_out);
        // AES-GCM refuses only what is longer than 64 GiB, which no secret is; then nothing of it is kept, and it never opens.
        if let Ok(tag) = tag {
            sealed.append(&mut in_out);
            sealed.extend_from_slice(tag.as_ref());
        }
        sealed
    }

    /// Opens what `seal` made for the same context.
    ///
    /// # Errors
    /// `OtherKey` where another key sealed it, `Damaged` where it was changed or belongs elsewhere.
    pub fn unseal(&self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (id, rest) = sealed.split_first_chunk::<4>().ok_or(SealError::Damaged)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
        let sealed_under = u32::from_be_bytes(*id);
        if sealed_under != self.id {
            return Err(SealError::OtherKey {
                sealed_under,
                given: self.id,
            });
        }
        let mut in_out = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .key
            .open_in_place(nonce, Aad::from(context), &mut in_out)
            .map_err(|_| SealError::Damaged)?
            .len();
        in_out.truncate(length);
        Ok(in_out)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SealKey(***, id {:08x})", self.id)
    }
}
