//! A small file that is rewritten in place, in two slots by turns: whatever ends the process, one of them is whole.
//!
//! A slot: form (u32), turn (u64), number (u64), length of the blob (u32), CRC32C over these and the blob (u32), blob; little endian.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::SpoolFault;
use crate::store::own::{self, DiskFault};

/// Bytes of a slot: what a disk writes at once.
const SLOT: usize = 4096;
const HEADER: usize = 28;
/// Bytes that a blob may have.
pub(super) const LONGEST: usize = SLOT - HEADER;
/// The form of the slots, and that of all files beside them.
const FORM: u32 = 1;

/// The open file.
#[derive(Debug)]
pub(super) struct Slots {
    path: PathBuf,
    file: File,
    /// How often it was written. The younger slot has the higher turn.
    turn: u64,
}

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It was never written.
    Nothing,
    /// The younger of its whole slots.
    Whole {
        /// The number in it.
        number: u64,
        /// And the blob.
        blob: Vec<u8>,
    },
    /// None of its slots is whole.
    Damaged,
}

/// A slot that is whole.
struct Slot<'a> {
    turn: u64,
    number: u64,
    blob: &'a [u8],
}

// === impl Slots ===

impl Slots {
    /// Opens the file, makes it where it is not there, and reads it.
    pub(super) fn open(path: &Path) -> Result<(Self, Held), SpoolFault> {
        let fault = |error: std::io::Error| SpoolFault::io(path, &error);
        let mut file = own::create(path, false).map_err(fault)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() < 2 * SLOT {
            // Room is taken now, so that a full disk does not keep what is in here from being written.
            bytes.resize(2 * SLOT, 0);
            file.rewind().and_then(|()| file.write_all(&bytes)).map_err(fault)?;
            file.sync_all().and_then(|()| own::sync_parent(path)).map_err(fault)?;
        }
        let mut youngest: Option<Slot<'_>> = None;
        for bytes in bytes.chunks(SLOT).take(2) {
            let Some(slot) = read(path, bytes)? else { continue };
            if youngest.as_ref().is_none_or(|other| other.turn < slot.turn) {
                youngest = Some(slot);
            }
        }
        let (turn, held) = match youngest {
            Some(Slot { turn, number, blob }) => (turn, Held::Whole { number, blob: blob.to_owned() }),
            None if bytes.iter().all(|byte| *byte == 0) => (0, Held::Nothing),
            None => (0, Held::Damaged),
        };
        Ok((Self { path: path.to_owned(), file, turn }, held))
    }

    /// Puts these in the place of what it says. With the operating system when it returns, on the disk after [`Self::sync`].
    pub(super) fn write(&mut self, number: u64, blob: &[u8]) -> Result<(), SpoolFault> {
        let turn = self.turn + 1;
        let slot = lay(turn, number, blob).ok_or_else(|| {
            let why = format_args!("{} bytes do not fit, {LONGEST} are the most", blob.len());
            DiskFault::because(&self.path, &why, false)
        })?;
        let at = if turn.is_multiple_of(2) { 0 } else { SLOT as u64 };
        let written = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(&slot));
        written.map_err(|error| SpoolFault::io(&self.path, &error))?;
        // Where that failed, the slot that may be half written is the next one's again.
        self.turn = turn;
        Ok(())
    }

    /// Brings it to the disk.
    pub(super) fn sync(&self) -> Result<(), SpoolFault> {
        self.file.sync_data().map_err(|error| SpoolFault::io(&self.path, &error))
    }
}

// === helpers ===

fn lay(turn: u64, number: u64, blob: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(blob.len()).ok().filter(|_| blob.len() <= LONGEST)?;
    let mut slot = Vec::with_capacity(HEADER + blob.len());
    slot.extend_from_slice(&FORM.to_le_bytes());
    slot.extend_from_slice(&turn.to_le_bytes());
    slot.extend_from_slice(&number.to_le_bytes());
    slot.extend_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&slot), blob);
    slot.extend_from_slice(&sum.to_le_bytes());
    slot.extend_from_slice(blob);
    Some(slot)
}

/// The slot, where it is whole.
fn read<'a>(path: &Path, bytes: &'a [u8]) -> Result<Option<Slot<'a>>, SpoolFault> {
    let Some((form, slot)) = parse(bytes) else { return Ok(None) };
    if form == FORM {
        return Ok(Some(slot));
    }
    let why = format_args!(
        "written by another Tollgate (form {form}, this one knows {FORM}); start that one, or name another directory with --data"
    );
    Err(DiskFault::because(path, &why, false).into())
}

fn parse(bytes: &[u8]) -> Option<(u32, Slot<'_>)> {
    let (form, rest) = bytes.split_first_chunk()?;
    let (turn, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let blob = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let head = bytes.get(..HEADER - sum.len())?;
    if crc32c::crc32c_append(crc32c::crc32c(head), blob) != u32::from_le_bytes(*sum) {
        return None;
    }
    let slot = Slot { turn: u64::from_le_bytes(*turn), number: u64::from_le_bytes(*number), blob };
    Some((u32::from_le_bytes(*form), slot))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn whole(number: u64, blob: &[u8]) -> Held {
        Held::Whole { number, blob: blob.to_owned() }
    }

    #[test]
    fn the_last_word_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("head");
        assert_eq!(Slots::open(&path).unwrap().1, Held::Nothing);
        assert_eq!(Slots::open(&path).unwrap().1, Held::Nothing);
        for (number, blob) in [(1, &b"one"[..]), (2, b""), (9, &[7; LONGEST]), (3, b"3")] {
            let (mut slots, _) = Slots::open(&path).unwrap();
            slots.write(number + 100, b"before").unwrap();
            slots.write(number, blob).unwrap();
            assert!(slots.write(number, &[0; LONGEST + 1]).unwrap_err().to_string().contains("do not fit"));
            assert_eq!(Slots::open(&path).unwrap().1, whole(number, blob));
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 8192);
    }

    #[test]
    fn any_damaged_byte_and_any_cut_leaves_one_of_the_last_two() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("head");
        let (mut slots, _) = Slots::open(&path).unwrap();
        slots.write(1, b"one").unwrap();
        slots.write(2, b"two").unwrap();
        let bytes = fs::read(&path).unwrap();
        let used = |at: usize| at % SLOT < HEADER + 3;
        for at in (0..bytes.len()).filter(|at| used(*at)) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            // The first slot holds the younger one.
            let left = if at < SLOT { whole(1, b"one") } else { whole(2, b"two") };
            assert_eq!(Slots::open(&path).unwrap().1, left, "{at}");
        }
        for length in (1..bytes.len()).filter(|at| used(*at)) {
            fs::write(&path, &bytes[..length]).unwrap();
            let left = if length < HEADER + 3 { Held::Damaged } else { whole(2, b"two") };
            let (mut slots, held) = Slots::open(&path).unwrap();
            assert_eq!(held, left, "{length}");
            slots.write(5, b"five").unwrap();
            assert_eq!(Slots::open(&path).unwrap().1, whole(5, b"five"), "{length}");
        }
    }

    #[test]
    fn a_later_form_is_not_guessed_at() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("head");
        let mut slot = lay(1, 2, b"").unwrap();
        slot[0] = 2;
        let sum = crc32c::crc32c(&slot[..HEADER - 4]).to_le_bytes();
        slot[HEADER - 4..].copy_from_slice(&sum);
        fs::write(&path, slot).unwrap();
        let fault = Slots::open(&path).unwrap_err();
        assert!(fault.to_string().contains("another Tollgate (form 2, this one knows 1)"), "{fault}");
        assert!(!fault.is_transient());
    }
}
