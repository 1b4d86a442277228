//! What this process costs, as the kernel counts it: `/proc/self/stat` and `/proc/self/status` (proc(5)), hence on Linux alone.

/// CPU seconds used so far, user and system, of all threads, those that have ended included.
pub fn cpu_seconds() -> Option<f64> {
    // In ticks, of which Linux counts 100 a second.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// Resident memory in MB.
pub fn memory_mb() -> Option<f64> {
    status("VmRSS:")
}

/// The most that it ever was, in MB.
pub fn peak_memory_mb() -> Option<f64> {
    status("VmHWM:")
}

fn status(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn on_linux_the_cost_is_known() {
        assert!(cpu_seconds().is_some());
        assert!(memory_mb().is_some_and(|mb| mb > 1.0) && peak_memory_mb().is_some());
    }
}
