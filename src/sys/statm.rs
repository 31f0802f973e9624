//! What a process holds in memory, as the kernel's statm has it. Allocates nothing.

use super::descriptor;

/// Bytes of a process's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// In memory, of whatever kind.
    pub resident: u64,
    /// Of that, what is of no file and not shared: its heap and stacks, and what it inherited by fork.
    pub private: u64,
}

/// Of process `pid`; `None` if there is none, or no /proc.
pub fn of(pid: u32) -> Option<Memory> {
    let mut text = [0u8; 128];
    let len = read(pid, "statm", &mut text)?;
    parse(&text[..len], page_size())
}

/// The beginning of what the kernel says of process `pid` in the file `name`; how many bytes that is.
pub(super) fn read(pid: u32, name: &str, text: &mut [u8]) -> Option<usize> {
    let mut path = [0u8; 32];
    {
        use std::io::Write;
        let mut rest = &mut path[..31];
        write!(rest, "/proc/{pid}/{name}").ok()?;
    }
    // SAFETY: `path` ends with a zero byte; the kernel writes at most as many bytes as `text` has.
    let read = unsafe {
        let fd = libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return None;
        }
        let read = libc::read(fd, text.as_mut_ptr().cast(), text.len());
        descriptor::close(fd);
        read
    };
    usize::try_from(read).ok()
}

/// The most that this process has had in memory, since its birth or [`forget_peak`].
pub fn peak() -> u64 {
    // SAFETY: `rusage` is integers, for which zero is a value; the kernel writes no more than one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    usage.ru_maxrss as u64 * 1024
}

/// From now on the peak is what it has at this moment; whether the kernel does that.
pub fn forget_peak() -> bool {
    // SAFETY: the path ends with a zero byte, and the kernel reads one byte of a constant.
    unsafe {
        let fd = libc::open(c"/proc/self/clear_refs".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let written = libc::write(fd, b"5".as_ptr().cast(), 1);
        descriptor::close(fd);
        written == 1
    }
}

fn page_size() -> u64 {
    // SAFETY: plain call.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

fn parse(text: &[u8], page: u64) -> Option<Memory> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
    let (_, resident, shared) = (words.next()?, words.next()??, words.next()??);
    Some(Memory { resident: resident * page, private: resident.saturating_sub(shared) * page })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm_is_read_as_the_manual_says() {
        assert_eq!(parse(b"100 30 10 1 0 5 0\n", 4096), Some(Memory { resident: 30 * 4096, private: 20 * 4096 }));
        assert_eq!((parse(b"100 x 10", 1), parse(b"", 1), parse(b"1 2", 1)), (None, None, None));
    }

    #[test]
    fn a_process_has_memory_and_none_has_none() {
        let mine = of(std::process::id()).unwrap();
        assert!(mine.private > 0 && mine.resident >= mine.private);
        assert_eq!(of(0x7fff_fff0), None);
    }
}
