//! How a process ended that is no child of this one and that nobody has reaped yet, as the kernel's stat has it.
//! Allocates nothing.

use super::pidfd::Exit;
use super::{robust, statm};

/// Of the zombie `pid`; `None` if there is none, or no /proc.
pub fn exit_of(pid: u32) -> Option<Exit> {
    let mut text = [0u8; 1024];
    let len = statm::read(pid, "stat", &mut text)?;
    parse(&text[..len])
}

/// Whether a thread has ended, or is about to and runs nothing of its program any more. Allocates nothing.
pub fn has_ended(thread: u32) -> bool {
    const EXITING: u64 = 4;
    let mut text = [0u8; 1024];
    match statm::read(thread, "stat", &mut text) {
        Some(len) => flags(&text[..len]).is_some_and(|flags| flags & EXITING != 0),
        None => robust::is_gone(thread),
    }
}

/// The ninth word; see [`parse`].
fn flags(text: &[u8]) -> Option<u64> {
    let behind = text.iter().rposition(|byte| *byte == b')')? + 1;
    std::str::from_utf8(&text[behind..]).ok()?.split_ascii_whitespace().nth(6)?.parse().ok()
}

/// The name of the program, in parentheses, may have any bytes in it; behind it the state, and many numbers, the last of
/// which is the status.
fn parse(text: &[u8]) -> Option<Exit> {
    let behind = text.iter().rposition(|byte| *byte == b')')? + 1;
    let words = std::str::from_utf8(&text[behind..]).ok()?;
    let mut words = words.split_ascii_whitespace();
    if words.next()? != "Z" {
        return None;
    }
    let status: i32 = words.next_back()?.parse().ok()?;
    Some(match libc::WIFEXITED(status) {
        true => Exit::Code(libc::WEXITSTATUS(status)),
        false => Exit::Signal(libc::WTERMSIG(status)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{descriptor, pidfd};

    #[test]
    fn a_status_is_found_behind_any_name() {
        assert_eq!(parse(b"7 (a) Z 1) Z 1 2 3 0 768\n"), Some(Exit::Code(3)));
        assert_eq!(parse(b"7 (a) Z 1 2 3 0 9\n"), Some(Exit::Signal(9)));
        assert_eq!((parse(b"7 (a) R 1 2 9\n"), parse(b""), parse(b"7 (a)")), (None, None, None));
    }

    #[test]
    fn a_thread_has_ended_once_it_is_joined() {
        let thread = std::thread::spawn(robust::thread_id).join().unwrap();
        assert!(has_ended(thread) && !has_ended(robust::thread_id()));
        assert_eq!(flags(b"7 (a) b) R 1 2 3 4 5 64 9"), Some(64));
    }

    #[test]
    fn a_child_that_nobody_has_reaped_tells() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 5"]).spawn().unwrap();
        let handle = pidfd::open(child.id()).unwrap();
        assert!(descriptor::poll_readable(pidfd::raw(&handle), None).unwrap());
        assert_eq!(exit_of(child.id()), Some(Exit::Code(5)));
        child.wait().unwrap();
        assert_eq!(exit_of(0x7fff_fff0), None);
    }
}
