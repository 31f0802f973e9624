//! Threads of ours, in processes of ours.

use crate::error::{Error, Result};

/// Starts a thread that gets no signals: those of its process are for the threads that were there before.
pub fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    // SAFETY: sets of signals are plain bits; the mask that the thread inherits is put back below.
    let before = unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        before
    };
    let started = std::thread::Builder::new().name(name.into()).spawn(body);
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    started.map(|_| ()).map_err(|_| Error::NoMemory("no thread could be started"))
}
