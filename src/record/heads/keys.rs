//! The key that signs heads, and its public half.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey, UnparsedPublicKey};

use super::super::link::{Hash, push_hex};
use super::pem;
use crate::store::own::{self, DiskFault};

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// Bytes of the hash of a key that are its name.
const NAME: usize = 8;

/// Signs.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: Public,
}

/// The public half of a key: checks.
#[derive(Clone, PartialEq, Eq)]
pub struct Public {
    raw: [u8; 32],
    id: Box<str>,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The file cannot be read.
    #[error("cannot read the key file {0}: {1}; give it to the user that Tollgate runs as")]
    Read(PathBuf, io::Error),
    /// The file cannot be written.
    #[error("cannot write the key file {0}")]
    Write(#[from] DiskFault),
    /// It holds something else than a private key.
    #[error(
        "{0} is no signing key: {1}; it must be a private Ed25519 key in PKCS#8 PEM without a password, as `openssl genpkey -algorithm ed25519` makes it"
    )]
    Private(PathBuf, String),
    /// It holds something else than a public key.
    #[error("no public key: {0}; it must be a public Ed25519 key in PEM, as in the file `signing.pub`")]
    Public(String),
    /// No key can be made.
    #[error("cannot make a signing key: the operating system gives no random bytes")]
    Random,
}

/// The key does not sign.
#[derive(Debug, thiserror::Error)]
#[error("the signing key does not sign")]
pub struct SignFault;

// === impl Signer ===

impl Signer {
    /// Reads the key in this file. That others may read it is warned of.
    ///
    /// # Errors
    /// [`KeyFault`] where it cannot be read or is no private Ed25519 key.
    pub fn open(path: &Path) -> Result<Self, KeyFault> {
        let text = fs::read_to_string(path).map_err(|error| KeyFault::Read(path.to_owned(), error))?;
        let fault = |why: String| KeyFault::Private(path.to_owned(), why);
        let der = pem::read(PRIVATE, &text).map_err(fault)?;
        let pair = Ed25519KeyPair::from_pkcs8(&der)
            .map_err(|_| fault("it is of another type than Ed25519, or damaged".to_owned()))?;
        warn_if_open(path);
        Self::of(pair).ok_or_else(|| fault("it has no public half".to_owned()))
    }

    /// Reads the key in this file, or makes one there that its owner alone may read.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub fn open_or_make(path: &Path) -> Result<Self, KeyFault> {
        match Self::open(path) {
            Err(KeyFault::Read(_, error)) if error.kind() == ErrorKind::NotFound => {
                let made = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| KeyFault::Random)?;
                // Where another process was first, its key is the one.
                own::place(path, pem::write(PRIVATE, made.as_ref()).as_bytes())?;
                own::sync_parent(path).map_err(|error| DiskFault::new(path, &error))?;
                Self::open(path)
            }
            other => other,
        }
    }

    /// The public half.
    pub fn public(&self) -> &Public {
        &self.public
    }

    /// Writes the public half to this file, unless it is there.
    ///
    /// # Errors
    /// [`KeyFault::Write`].
    pub fn publish(&self, path: &Path) -> Result<(), KeyFault> {
        let pem = self.public.pem();
        if fs::read_to_string(path).is_ok_and(|there| there == pem) {
            return Ok(());
        }
        own::replace(path, pem.as_bytes())?;
        Ok(open_to_all(path).map_err(|error| DiskFault::new(path, &error))?)
    }

    /// Signs these bytes; the signature in base64.
    pub(in crate::record) fn sign(&self, bytes: &[u8]) -> Result<String, SignFault> {
        let signature = self.pair.try_sign(bytes).map_err(|_| SignFault)?;
        Ok(super::encode(signature.as_ref()))
    }

    fn of(pair: Ed25519KeyPair) -> Option<Self> {
        let raw = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { pair, public: Public::of(raw) })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.public.id).finish_non_exhaustive()
    }
}

// === impl Public ===

impl Public {
    fn of(raw: [u8; 32]) -> Self {
        let mut id = String::new();
        push_hex(Hash::of(&raw).0.get(..NAME).unwrap_or_default(), &mut id);
        Self { raw, id: id.into() }
    }

    /// Reads a public key in PEM.
    ///
    /// # Errors
    /// [`KeyFault::Public`].
    pub fn read(text: &str) -> Result<Self, KeyFault> {
        let fault = |why: &str| KeyFault::Public(why.to_owned());
        let der = pem::read(PUBLIC, text).map_err(KeyFault::Public)?;
        let other = "it is of another type than Ed25519, or damaged";
        ParsedPublicKey::new(&ED25519, &der).map_err(|_| fault(other))?;
        // RFC 8410: the key itself is the end, and all before it is the same for all keys of this type.
        let (_, raw) = der.split_last_chunk::<32>().ok_or_else(|| fault(other))?;
        let public = Self::of(*raw);
        if public.der().as_deref() == Some(&der) { Ok(public) } else { Err(fault(other)) }
    }

    /// Its PEM.
    pub fn pem(&self) -> String {
        self.der().map_or_else(String::new, |der| pem::write(PUBLIC, &der))
    }

    /// How heads name it: the first 16 hex digits of the SHA-256 of its 32 bytes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the signature, in base64, is this key's over these bytes.
    pub(in crate::record) fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.raw);
        super::decode(signature).is_some_and(|signature| key.verify(bytes, &signature).is_ok())
    }

    fn der(&self) -> Option<Vec<u8>> {
        let key = ParsedPublicKey::new(&ED25519, self.raw).ok()?;
        let der: PublicKeyX509Der<'_> = key.as_der().ok()?;
        Some(der.as_ref().to_vec())
    }
}

impl fmt::Debug for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Public").field(&self.id).finish()
    }
}

/// Lets everybody read a file, and brings its name to the disk.
fn open_to_all(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    own::sync_parent(path)
}

/// Says so where others than its owner may read or write the key. Mounted secrets often are open to a group: no reason to stay down.
fn warn_if_open(path: &Path) {
    #[cfg(unix)]
    if let Ok(data) = fs::metadata(path) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(file = %path.display(), mode = format!("{mode:o}"), "others may read the signing key: chmod 600");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}
