//! The resources that this process uses while a load runs, and whether it may open a connection for every user.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike;

use wire::ProcessUse;

/// Spare files for what the proxy opens meanwhile.
const SPARE_FILES: u64 = 64;

/// Makes sure that this many more files can be opened: raises the soft limit if it is too low.
///
/// # Errors
/// The hard limit is too low.
pub fn make_room(connections: u64) -> Result<(), String> {
    let needed = open_files() + connections + SPARE_FILES;
    // A system without this limit needs nothing.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if soft >= needed {
        return Ok(());
    }
    let why = |may: u64| {
        format!(
            "{connections} users need {needed} open files, and this process may open {may}: raise the limit \
             (`ulimit -n`, or LimitNOFILE in systemd) or use fewer users"
        )
    };
    if hard < needed {
        return Err(why(hard));
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|_| why(soft))
}

/// Sampled regularly; the peaks are those of the samples.
#[derive(Debug)]
pub struct ProcessMeter {
    cpu_micros: u64,
    memory_peak: u64,
    open_files_peak: u64,
    /// Resident memory, a sample each.
    pub memory: Vec<u64>,
}

impl ProcessMeter {
    pub fn new() -> ProcessMeter {
        let mut meter =
            ProcessMeter { cpu_micros: cpu_micros(), memory_peak: 0, open_files_peak: 0, memory: Vec::new() };
        meter.peaks();
        meter
    }

    /// `keep`: for [`ProcessMeter::memory`].
    pub fn sample(&mut self, keep: bool) {
        let memory = self.peaks();
        if keep {
            self.memory.push(memory);
        }
    }

    fn peaks(&mut self) -> u64 {
        let memory = memory();
        self.memory_peak = self.memory_peak.max(memory);
        self.open_files_peak = self.open_files_peak.max(open_files());
        memory
    }

    /// The use over this many microseconds since it was created.
    pub fn used(&self, micros: u64) -> ProcessUse {
        let cpu = cpu_micros().saturating_sub(self.cpu_micros) as f64 * 100.0 / micros.max(1) as f64;
        ProcessUse { cpu, memory_peak_bytes: self.memory_peak, open_files_peak: self.open_files_peak }
    }
}

fn cpu_micros() -> u64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return 0 };
    u64::try_from(usage.user_time().num_microseconds() + usage.system_time().num_microseconds()).unwrap_or(0)
}

/// Resident, in bytes; 0 where the system does not say.
fn memory() -> u64 {
    resident_bytes(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// As `/proc/PID/status` says; 0 where it does not.
pub fn resident_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|text| text.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_seen() {
        let mut meter = ProcessMeter::new();
        let held: Vec<std::fs::File> = (0..32).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        let spun = (0..20_000_000u64).fold(0u64, |sum, n| std::hint::black_box(sum.wrapping_mul(31) ^ n));
        meter.sample(true);
        let used = meter.used(1_000_000);
        assert!(used.cpu > 0.0 && spun != 1, "{used:?}");
        assert!(used.memory_peak_bytes > 1 << 20 && meter.memory[0] > 1 << 20, "{used:?}");
        assert!(used.open_files_peak > held.len() as u64, "{used:?}");
    }

    #[test]
    fn too_many_users_are_refused_with_the_way_out() {
        assert_eq!(make_room(1), Ok(()));
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let why = make_room(hard).unwrap_err();
        assert!(why.contains(&format!("may open {hard}: raise the limit")), "{why}");
    }
}
