//! The kernel's figures of a process and of the machine: processor time, bytes sent to the device, memory.
//! Linux only. It measures nothing itself.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::outcome::Outcome;

/// A process that is being measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId(pub(crate) u32);

impl ProcessId {
    /// This process.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// The processor time of all its threads so far, in user and in kernel mode, to one clock tick (usually
    /// 10 ms).
    pub(crate) fn cpu(self) -> Outcome<Duration> {
        let ticks = ticks_in_stat(&self.read("stat")?).ok_or("/proc/PID/stat is not as expected")?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Ok(Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second)))
    }

    /// The bytes that it caused to be written to the device. The kernel counts a page when it is dirtied, and
    /// whole folios of up to a mebibyte where the file system uses them, so this is an upper bound.
    pub(crate) fn device_bytes(self) -> Outcome<u64> {
        labelled(&self.read("io")?, "write_bytes:").ok_or_else(|| "/proc/PID/io has no write_bytes".into())
    }

    /// Its present memory.
    pub(crate) fn resident_bytes(self) -> Outcome<u64> {
        let kibibytes = labelled(&self.read("status")?, "VmRSS:").ok_or("/proc/PID/status has no VmRSS")?;
        Ok(kibibytes * 1024)
    }

    /// Its peak memory since its start, or since [`Self::reset_peak`].
    pub(crate) fn peak_resident_bytes(self) -> Outcome<u64> {
        let kibibytes = labelled(&self.read("status")?, "VmHWM:").ok_or("/proc/PID/status has no VmHWM")?;
        Ok(kibibytes * 1024)
    }

    /// Resets its peak memory to its present memory.
    pub(crate) fn reset_peak(self) -> Outcome<()> {
        let path = format!("/proc/{}/clear_refs", self.0);
        fs::write(&path, "5").map_err(|error| format!("{path}: {error}").into())
    }

    fn read(self, file: &str) -> Outcome<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}").into())
    }
}

/// The user and kernel time in the line of `/proc/PID/stat`. The command's name in that line may have spaces
/// and parentheses, so fields are counted from the last parenthesis.
fn ticks_in_stat(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let kernel: u64 = times.next()?.parse().ok()?;
    Some(user + kernel)
}

/// The number after `label` at the start of a line.
fn labelled(text: &str, label: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// The bytes that the files under `path` take on disk.
pub(crate) fn bytes_under(path: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut total = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() { bytes_under(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(total)
}

/// The number of processors that this process may use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The memory that the machine can provide without swapping.
pub(crate) fn available_bytes() -> Outcome<u64> {
    let kibibytes = labelled(&fs::read_to_string("/proc/meminfo")?, "MemAvailable:");
    Ok(kibibytes.ok_or("/proc/meminfo has no MemAvailable")? * 1024)
}

/// One line about the machine and its load.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let memory = labelled(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) / (1024 * 1024);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    format!(
        "{} × {model}, {memory} GiB, Linux {}, load average {} before the run",
        processors(),
        kernel.trim(),
        load.split(' ').next().unwrap_or("unknown"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_name_with_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 500 0 0 0 120 35 7 9 20 0 4 0 100 1000 200";
        assert_eq!(ticks_in_stat(stat), Some(155));
        assert_eq!(ticks_in_stat("42 (a) S 1"), None);
        assert_eq!(ticks_in_stat("nonsense"), None);
    }

    #[test]
    fn labelled_numbers_are_read_with_any_spacing() {
        let io = "rchar: 1\ncancelled_write_bytes: 9\nwrite_bytes: 4096\n";
        assert_eq!(labelled(io, "write_bytes:"), Some(4096));
        assert_eq!(labelled("VmRSS:\t   14336 kB\n", "VmRSS:"), Some(14_336));
        assert_eq!(labelled(io, "VmRSS:"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let own = ProcessId::own();
        assert!(own.resident_bytes().unwrap() > 0);
        assert!(available_bytes().unwrap() > 0);
        own.reset_peak().unwrap();
        assert!(own.peak_resident_bytes().unwrap() > 0);
        own.cpu().unwrap();
        own.device_bytes().unwrap();
    }
}
