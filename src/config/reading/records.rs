//! How entries are written down, and for how long they are kept.

use std::path::PathBuf;

use serde_saphyr::Spanned;

use super::super::records::{Records, SinkKind};
use super::super::written::{self, Text};
use super::{Origin, Reader, Value, shown};
use crate::record::sinks::FileOptions;
use crate::record::{Durable, Mask, MaskIp, OnFull};
use crate::report::Fault;

const MIB: u64 = 1 << 20;

/// Bounds of the spool: two segments, and what nobody would want to read again.
const SPOOL: (u64, u64) = (16 * MIB, 1 << 40);

// === impl Reader, for records ===

impl Reader<'_> {
    pub(super) fn records(&mut self, written: written::Records, mongo: bool) -> Records {
        let sinks = self.sinks(written.sinks, mongo);
        let file = self.file(written.file, sinks.contains(&SinkKind::File));
        let otlp = self.otlp(written.otlp, sinks.contains(&SinkKind::Otlp));
        Records {
            sinks,
            file,
            otlp,
            queue: self.number("records.queue", written.queue, 8_192, (64, 1_000_000)),
            spool: self.bytes("records.spool", written.spool, 256 * MIB, SPOOL),
            durable: self.durable(written.durable),
            on_full: self.on_full(written.on_full),
            signing_key: written.signing_key.map(|path| PathBuf::from(path.value)),
            mask: self.mask(written.mask),
            keep: self.keep(written.keep),
        }
    }

    pub(super) fn sinks(&mut self, written: Vec<Spanned<String>>, mongo: bool) -> Vec<SinkKind> {
        let values: Vec<Value> = match self.environment.get("TOLLGATE_RECORDS") {
            Some(list) => list
                .split(',')
                .map(|text| Value { text: text.trim().to_owned(), origin: Origin::Variable("TOLLGATE_RECORDS") })
                .collect(),
            None => written.into_iter().map(|spanned| self.in_file(spanned)).collect(),
        };
        if values.is_empty() {
            return vec![if mongo { SinkKind::Mongo } else { SinkKind::Embedded }];
        }
        let mut sinks = Vec::new();
        for value in values {
            let kind = match value.text.as_str() {
                "stdout" => SinkKind::Stdout,
                "embedded" => SinkKind::Embedded,
                "file" => SinkKind::File,
                "otlp" => SinkKind::Otlp,
                "mongo" if mongo => SinkKind::Mongo,
                "mongo" => {
                    let help = "set mongo.uri or MONGO_URI, or take mongo out of records.sinks";
                    self.blame(&value.origin, "setting-sink", "records: no MongoDB is configured", help);
                    continue;
                }
                other => {
                    let message = format!("records: {} is no sink", shown(other));
                    self.blame(
                        &value.origin,
                        "setting-sink",
                        message,
                        "the sinks are stdout, embedded, mongo, file and otlp",
                    );
                    continue;
                }
            };
            if !sinks.contains(&kind) {
                sinks.push(kind);
            }
        }
        sinks
    }

    /// The file, where one is written. Its size and number are checked in any case.
    fn file(&mut self, written: written::RecordFile, wanted: bool) -> Option<FileOptions> {
        let size = self.bytes("records.file.size", written.size, 100 * MIB, (MIB, 1 << 40));
        let keep = self.number("records.file.keep", written.keep, 30, (0, 100_000));
        match written.path {
            Some(path) if wanted => Some(FileOptions { path: path.value.into(), size, keep }),
            None if wanted && !self.blind => {
                let fault = Fault::error("setting-missing", "setting records.file.path is missing");
                self.report
                    .push(fault.help("name the file that the sink `file` writes, or take `file` out of records.sinks"));
                None
            }
            _ => None,
        }
    }

    fn durable(&mut self, written: Option<Vec<Spanned<String>>>) -> Durable {
        let Some(written) = written else { return Durable { refusals: true, admin: true, turns: false } };
        let mut durable = Durable::default();
        for spanned in written {
            let value = self.in_file(spanned);
            match value.text.as_str() {
                "refusals" => durable.refusals = true,
                "admin" => durable.admin = true,
                "turns" => durable.turns = true,
                other => {
                    let message = format!("records.durable: {} is no kind of entry", shown(other));
                    let help = "the kinds are refusals, admin and turns; [] lets no request wait for the disk";
                    self.blame(&value.origin, "setting-choice", message, help);
                }
            }
        }
        durable
    }

    fn on_full(&mut self, written: Text) -> OnFull {
        let Some(value) = written.map(|spanned| self.in_file(spanned)) else { return OnFull::Refuse };
        match value.text.as_str() {
            "refuse" => OnFull::Refuse,
            "drop" => OnFull::Drop,
            other => {
                let message = format!("records.on_full: {} is no choice", shown(other));
                self.blame(&value.origin, "setting-choice", message, "the choices are refuse and drop");
                OnFull::Refuse
            }
        }
    }

    fn mask(&mut self, written: written::Mask) -> Mask {
        let ip = [("keep", MaskIp::Keep), ("subnet", MaskIp::Subnet), ("hash", MaskIp::Hash)];
        Mask {
            ip: self.choice("records.mask.ip", written.ip, &ip, "the choices are keep, subnet and hash"),
            no_user_agent: self.choice(
                "records.mask.user_agent",
                written.user_agent,
                &[("keep", false), ("drop", true)],
                "the choices are keep and drop",
            ),
            no_ids_in_paths: self.choice(
                "records.mask.path",
                written.path,
                &[("keep", false), ("ids", true)],
                "the choices are keep and ids",
            ),
        }
    }

    /// One of these words; the default where none is written.
    fn choice<T: Copy + Default>(&mut self, name: &str, written: Text, choices: &[(&str, T)], help: &str) -> T {
        let Some(value) = written.map(|spanned| self.in_file(spanned)) else { return T::default() };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == value.text) {
            return *choice;
        }
        self.blame(&value.origin, "setting-choice", format!("{name}: {} is no choice", shown(&value.text)), help);
        T::default()
    }

    fn bytes(&mut self, name: &str, written: Text, default: u64, (least, most): (u64, u64)) -> u64 {
        let Some(value) = written.map(|spanned| self.in_file(spanned)) else { return default };
        let text = value.text.trim();
        let units = [("KiB", 1 << 10), ("MiB", MIB), ("GiB", 1 << 30), ("TiB", 1 << 40), ("", 1)];
        let read = units.iter().find_map(|(unit, of)| {
            let number = text.strip_suffix(unit)?.trim_end();
            number.parse::<u64>().ok()?.checked_mul(*of)
        });
        match read {
            Some(bytes) if (least..=most).contains(&bytes) => bytes,
            _ => {
                let (least, most) = (least / MIB, most / MIB);
                let message = format!("{name}: {} is no size from {least} MiB to {most} MiB", shown(text));
                self.blame(&value.origin, "setting-size", message, "write it like 256MiB or 2GiB");
                default
            }
        }
    }
}
