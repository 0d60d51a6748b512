//! What the machine is, and what else it does: a figure without these is no figure.

use std::fs;

use serde::{Deserialize, Serialize};

/// Facts of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Name and release of the kernel.
    pub kernel: String,
    /// Model of the processor.
    pub cpu: String,
    /// Processors online.
    pub cpus: usize,
    /// Its extensions that matter to TLS and copying.
    pub features: Vec<String>,
    /// Memory, in bytes.
    pub memory: u64,
    /// Whether a hypervisor is under the kernel.
    pub virtualised: bool,
    /// How processors change their clock, if it is known.
    pub governor: Option<String>,
}

/// How busy the machine was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Load average of a minute.
    pub average: f64,
    /// Ticks of all processors so far.
    pub ticks: u64,
    /// Ticks that the hypervisor gave to others so far.
    pub stolen: u64,
}

const FEATURES: &[&str] = &[
    "aes", "vaes", "avx2", "avx512f", "sha_ni", "asimd", "pmull", "sha2", "sve",
];

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = info.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or("", |(_, value)| value.trim()).to_owned()
        };
        let flags = format!("{} {}", field("flags"), field("Features"));
        let flags: Vec<&str> = flags.split(' ').collect();
        let features = FEATURES.iter().filter(|feature| flags.contains(feature));
        let uname = rustix::system::uname();
        let memory = read("/proc/meminfo");
        let memory = memory
            .split_whitespace()
            .nth(1)
            .map_or(0, |kib| kib.parse().unwrap_or(0));
        Self {
            kernel: format!(
                "{} {}",
                uname.sysname().to_string_lossy(),
                uname.release().to_string_lossy()
            ),
            cpu: [
                field("model name"),
                field("Model"),
                uname.machine().to_string_lossy().into(),
            ]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            features: features.map(ToString::to_string).collect(),
            memory: memory * 1024,
            virtualised: flags.contains(&"hypervisor"),
            governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .ok()
                .map(|name| name.trim().to_owned()),
        }
    }
}

impl Load {
    /// Now.
    pub fn now() -> Self {
        let average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let all = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = all
            .split_whitespace()
            .skip(1)
            .take(8)
            .map(|ticks| ticks.parse().unwrap_or(0))
            .collect();
        Self {
            average: average
                .split(' ')
                .next()
                .map_or(0.0, |average| average.parse().unwrap_or(0.0)),
            ticks: ticks.iter().sum(),
            stolen: ticks.get(7).copied().unwrap_or(0),
        }
    }

    /// Share of the time since `earlier` that the hypervisor gave to others, in percent.
    pub fn steal_since(&self, earlier: &Self) -> f64 {
        let ticks = self.ticks.saturating_sub(earlier.ticks).max(1);
        100.0 * self.stolen.saturating_sub(earlier.stolen) as f64 / ticks as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let here = Machine::here();
        assert!(here.kernel.starts_with("Linux ") && here.cpus > 0 && here.memory > 0);
        assert!(!here.cpu.is_empty());
        let now = Load::now();
        assert!(now.ticks > 0);
        let later = Load {
            ticks: now.ticks + 200,
            stolen: now.stolen + 3,
            ..now
        };
        assert!((later.steal_since(&now) - 1.5).abs() < 1e-9);
    }
}
