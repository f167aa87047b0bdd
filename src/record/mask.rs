//! What the record does not say of who asked, by the settings. It is taken out where an entry is made, so that nothing behind that has it:
//! neither the disk nor any sink.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand;

use super::link::push_hex;
use crate::store::own::{self, DiskFault};

/// What the settings ask for. By default all is written as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// What is written of an address.
    pub ip: MaskIp,
    /// Whether `User-Agent` is left out.
    pub no_user_agent: bool,
    /// Whether ids are taken out of paths.
    pub no_ids_in_paths: bool,
}

/// What is written of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskIp {
    /// All of it.
    #[default]
    Keep,
    /// The network that it is in: /24 of IPv4, /48 of IPv6.
    Subnet,
    /// A name for it, the same in all entries of a data directory: 16 hex digits.
    Hash,
}

/// The masks with the key that one of them needs.
#[derive(Clone)]
pub struct Masks {
    mask: Mask,
    /// There where addresses are hashed.
    key: Option<hmac::Key>,
}

/// Bytes of the key.
const KEY: usize = 32;
/// Bytes of the hash that are written.
const WRITTEN: usize = 8;
/// What is hashed begins with this, so that the key can serve for something else, too.
const ADDRESS: &[u8] = b"tollgate address 1\n";

// === impl Masks ===

impl Masks {
    /// The masks of a data directory. Where addresses are hashed its key is read from this file, or made there for the owner alone. Nobody
    /// else makes one at the same time: the caller has the lock of the directory.
    ///
    /// # Errors
    /// [`DiskFault`] where there is no key and none can be made, or the file holds something else.
    pub fn open(mask: Mask, key: &Path) -> Result<Self, DiskFault> {
        let key = if mask.ip == MaskIp::Hash { Some(open_or_make(key)?) } else { None };
        Ok(Self { mask, key })
    }

    /// The address as it is written; none where it is written as it came.
    pub fn address(&self, address: IpAddr) -> Option<Box<str>> {
        match (self.mask.ip, &self.key) {
            (MaskIp::Keep, _) => None,
            (MaskIp::Subnet, _) => Some(network(address)),
            (MaskIp::Hash, Some(key)) => Some(name(address, key)),
            // It cannot be hashed, and must not be written.
            (MaskIp::Hash, None) => Some("-".into()),
        }
    }

    /// Whether `User-Agent` is left out.
    pub fn no_user_agent(&self) -> bool {
        self.mask.no_user_agent
    }

    /// Whether ids are taken out of paths.
    pub fn no_ids_in_paths(&self) -> bool {
        self.mask.no_ids_in_paths
    }
}

/// Without the key.
impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masks").field("mask", &self.mask).finish_non_exhaustive()
    }
}

// === helpers ===

fn network(address: IpAddr) -> Box<str> {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24").into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)).into()
        }
    }
}

fn name(address: IpAddr, key: &hmac::Key) -> Box<str> {
    let mut context = hmac::Context::with_key(key);
    context.update(ADDRESS);
    match address.to_canonical() {
        IpAddr::V4(address) => context.update(&address.octets()),
        IpAddr::V6(address) => context.update(&address.octets()),
    }
    let mut name = String::new();
    push_hex(context.sign().as_ref().get(..WRITTEN).unwrap_or_default(), &mut name);
    name.into()
}

/// The key in this file, or a new one. It is bytes as they are.
fn open_or_make(path: &Path) -> Result<hmac::Key, DiskFault> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(DiskFault::new(path, &error)),
    };
    if bytes.len() != KEY {
        let why = format_args!(
            "{} bytes are no key for addresses, which has {KEY}; put its copy there, or remove it: addresses get other names then",
            bytes.len()
        );
        return Err(DiskFault::because(path, &why, false));
    }
    Ok(hmac::Key::new(HMAC_SHA256, &bytes))
}

fn make(path: &Path) -> Result<Vec<u8>, DiskFault> {
    let mut bytes = vec![0; KEY];
    let random = "no key can be made: the operating system gives no random bytes";
    rand::fill(&mut bytes).map_err(|_| DiskFault::because(path, &random, true))?;
    own::replace(path, &bytes)?;
    own::sync_parent(path).map_err(|error| DiskFault::new(path, &error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(ip: MaskIp) -> (Masks, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (Masks::open(Mask { ip, ..Mask::default() }, &directory.path().join("mask.key")).unwrap(), directory)
    }

    fn written(masks: &Masks, address: &str) -> Option<Box<str>> {
        masks.address(address.parse().unwrap())
    }

    #[test]
    fn a_network_is_written_in_place_of_an_address() {
        let (masks, directory) = masks(MaskIp::Subnet);
        for (address, network) in [
            ("198.51.100.7", "198.51.100.0/24"),
            ("198.51.100.255", "198.51.100.0/24"),
            ("0.0.0.0", "0.0.0.0/24"),
            ("127.0.0.1", "127.0.0.0/24"),
            ("::ffff:198.51.100.7", "198.51.100.0/24"),
            ("2001:db8:12:3456:789a:bcde:f012:3456", "2001:db8:12::/48"),
            ("2001:db8::7", "2001:db8::/48"),
            ("::1", "::/48"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::/48"),
        ] {
            assert_eq!(written(&masks, address).as_deref(), Some(network), "{address}");
        }
        assert!(!directory.path().join("mask.key").exists(), "no key is needed");
    }

    #[test]
    fn all_is_written_by_default() {
        let (masks, _directory) = masks(MaskIp::Keep);
        assert_eq!(written(&masks, "198.51.100.7"), None);
        assert!(!masks.no_user_agent() && !masks.no_ids_in_paths());
        assert_eq!(Mask::default().ip, MaskIp::Keep);
    }

    #[test]
    fn a_name_is_the_same_as_long_as_the_key_is() {
        let (masks, directory) = masks(MaskIp::Hash);
        let path = directory.path().join("mask.key");
        let name = written(&masks, "198.51.100.7").unwrap();
        assert!(name.len() == 16 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{name}");
        assert_eq!(written(&masks, "::ffff:198.51.100.7").unwrap(), name, "the same address");
        assert_ne!(written(&masks, "198.51.100.8").unwrap(), name);
        let mask = Mask { ip: MaskIp::Hash, ..Mask::default() };
        let again = Masks::open(mask, &path).unwrap();
        assert_eq!(written(&again, "198.51.100.7").unwrap(), name);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        let shown = "Masks { mask: Mask { ip: Hash, no_user_agent: false, no_ids_in_paths: false }, .. }";
        assert_eq!(format!("{again:?}"), shown, "without the key");
        fs::remove_file(&path).unwrap();
        assert_ne!(written(&Masks::open(mask, &path).unwrap(), "198.51.100.7").unwrap(), name, "another key");
        // What the formula says, by a key that is known (RFC 2104 with SHA-256, by another implementation).
        fs::write(&path, [7; KEY]).unwrap();
        assert_eq!(&*written(&Masks::open(mask, &path).unwrap(), "198.51.100.7").unwrap(), "6bbe27a419d366d6");
        assert_eq!(&*written(&Masks::open(mask, &path).unwrap(), "2001:db8::7").unwrap(), "c67364b36f6cd41c");
    }

    #[test]
    fn what_is_no_key_is_not_used() {
        let (_, directory) = masks(MaskIp::Keep);
        let path = directory.path().join("mask.key");
        fs::write(&path, [7; KEY - 1]).unwrap();
        let fault = Masks::open(Mask { ip: MaskIp::Hash, ..Mask::default() }, &path).unwrap_err();
        assert!(fault.message.contains("mask.key: 31 bytes are no key for addresses"), "{fault}");
        let missing = directory.path().join("no/mask.key");
        assert!(Masks::open(Mask { ip: MaskIp::Hash, ..Mask::default() }, &missing).is_err());
    }
}
