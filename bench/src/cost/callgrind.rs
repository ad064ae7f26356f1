//! Instruction counts of a server that runs under Valgrind's callgrind, read while it runs. The counts cover all
//! threads of the process, in user mode only.

use std::cell::Cell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Outcome;
use crate::process::ProcessId;

/// The access to the counts of one server.
pub(crate) struct Callgrind {
    directory: PathBuf,
    process: ProcessId,
    dumps: Cell<u32>,
}

/// The command line that runs a program under callgrind, with its files in `directory`.
pub(crate) fn wrapper(directory: &Path) -> Vec<OsString> {
    let option = |name: &str, value: &Path| {
        let mut option = OsString::from(name);
        option.push(value);
        option
    };
    vec![
        "valgrind".into(),
        "--tool=callgrind".into(),
        "--quiet".into(),
        option("--callgrind-out-file=", &dump_base(directory)),
        option("--vgdb-prefix=", &vgdb_prefix(directory)),
    ]
}

impl Callgrind {
    /// Attaches to a process that was started with the [`wrapper`] of `directory`.
    pub(crate) fn attach(directory: &Path, process: ProcessId) -> Self {
        Self { directory: directory.to_owned(), process, dumps: Cell::new(0) }
    }

    /// The instructions since the previous call, or since the start of the process.
    pub(crate) fn take(&self) -> Outcome<u64> {
        let prefix = vgdb_prefix(&self.directory);
        let done = Command::new("vgdb")
            .arg(format!("--vgdb-prefix={}", prefix.display()))
            .arg(format!("--pid={}", self.process.0))
            .arg("dump")
            .output()
            .map_err(|error| format!("vgdb, a part of Valgrind: {error}"))?;
        if !done.status.success() {
            return Err(format!("vgdb: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        self.dumps.set(self.dumps.get() + 1);
        let base = dump_base(&self.directory);
        let path = base.with_extension(self.dumps.get().to_string());
        let dump = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        std::fs::remove_file(&path)?;
        total(&dump).ok_or_else(|| format!("{} has no total", path.display()).into())
    }
}

fn dump_base(directory: &Path) -> PathBuf {
    directory.join("callgrind")
}

fn vgdb_prefix(directory: &Path) -> PathBuf {
    directory.join("vgdb")
}

/// The sum of a dump over all functions.
fn total(dump: &str) -> Option<u64> {
    dump.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_dump_is_found_among_its_functions() {
        let dump = "version: 1\nevents: Ir\nfn=(1) main\n0 7\nfn=(2) totals\n0 5\n\ntotals: 12\n";
        assert_eq!(total(dump), Some(12));
        assert_eq!(total("version: 1\nsummary: 12\n"), None);
    }
}
