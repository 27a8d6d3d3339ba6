//! What the process uses of the machine, as the kernel tells it.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};

/// What the process uses; what the kernel does not tell is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessUsage {
    /// Memory that is in RAM, in bytes.
    pub resident_bytes: u64,
    /// Memory that may be addressed, in bytes.
    pub virtual_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Number of descriptors that may be open.
    pub descriptors_max: u64,
    /// Time on processors, of all threads.
    pub cpu: Duration,
}

impl ProcessUsage {
    /// The usage at this moment.
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kilobytes.unwrap_or(0) * 1024
        };
        let cpu = getrusage(UsageWho::RUSAGE_SELF).map(|usage| {
            let of = |time: nix::sys::time::TimeVal| {
                let micros = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
                Duration::from_micros(micros.unsigned_abs())
            };
            of(usage.user_time()) + of(usage.system_time())
        });
        Self {
            resident_bytes: bytes("VmRSS"),
            virtual_bytes: bytes("VmSize"),
            descriptors: fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64),
            descriptors_max: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
            cpu: cpu.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_memory_descriptors_and_time() {
        let kept = fs::File::open("/proc/self/status").expect("it is there");
        let usage = ProcessUsage::read();
        assert!(usage.resident_bytes > 100_000 && usage.virtual_bytes >= usage.resident_bytes, "{usage:?}");
        assert!(usage.descriptors >= 4 && usage.descriptors_max >= usage.descriptors, "{usage:?}");
        assert!(usage.cpu > Duration::ZERO, "{usage:?}");
        drop(kept);
    }
}
