//! Resource limits and processors.

/// Raises this process's own descriptor limit as far as it may: a keeper watches every member.
pub fn raise_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours; a refusal changes nothing.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Processors that this process may use: its affinity, and its cgroup's quota in whole processors; at least 1.
pub fn processors() -> usize {
    // std asks sched_getaffinity and the cpu quotas of cgroup v1 and v2.
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

/// Threads of this process, as far as /proc tells.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, |tasks| tasks.count())
}
