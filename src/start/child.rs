//! A process that was started by exec: how it finds out, in `carom_init`, who it is and what it runs.
//!
//! It is recognised by what waits at the first descriptor that a program can have: a channel with a certificate.
#![forbid(unsafe_code)]

use super::letter;
use super::spawn::{Answer, CERTIFICATE, Certificate};
use crate::error::{Error, Result};
use crate::family;
use crate::function;
use crate::process;
use crate::shm::arena::Arena;
use crate::sys::channel::{self, MESSAGE};
use crate::sys::exec::FIRST;
use crate::sys::{descriptor, fork};
use std::os::fd::{OwnedFd, RawFd};

/// The certificate of this process, if it has one: left where it is.
fn certificate() -> Option<Certificate> {
    let mut message = [0; MESSAGE];
    let len = channel::peek(FIRST, &mut message)?;
    Certificate::from_bytes(&message[..len])
}

/// Does not return if this process was started to run a function; else there is nothing to do.
pub fn begin() {
    if Arena::get().is_some() {
        return;
    }
    let Some(certificate) = certificate() else { return };
    let [channel, file, doorbell] = [0, 1, 2].map(|number| channel::adopt(FIRST + number));
    // Taken: from now on this is like any other process.
    let _ = channel::receive(channel::raw(&channel), &mut [0; CERTIFICATE]);
    let refusal = match run(&certificate, &channel, file, doorbell) {
        Error::Function(text) => (Answer::NoFunction, text.into_owned()),
        error => (Answer::Refusal, error.to_string()),
    };
    answer(channel::raw(&channel), refusal.0, &refusal.1);
    fork::leave_at_once(255)
}

/// Returns only if it cannot be.
fn run(certificate: &Certificate, channel: &OwnedFd, file: OwnedFd, doorbell: OwnedFd) -> Error {
    let me = certificate.member;
    let _ = super::set_default(super::Method::of_number(certificate.method), true);
    let prepare = || -> Result<_> {
        let family = family::enter(file, doorbell, me)?;
        // The parent is dead, and nobody waits for an answer.
        let Some(family) = family else { fork::leave_at_once(1) };
        let letter = letter::read(family.arena, me)?;
        let address = function::resolve(&letter.function)?;
        Ok((letter, address))
    };
    match prepare() {
        Err(error) => error,
        Ok((letter, address)) => {
            answer(channel::raw(channel), Answer::Ready, "");
            descriptor::close(channel::raw(channel));
            process::run_given(letter.name, address, letter.arguments)
        }
    }
}

fn answer(channel: RawFd, answer: Answer, reason: &str) {
    let mut message = [0; MESSAGE];
    message[0] = answer as u8;
    let len = reason.len().min(MESSAGE - 1);
    message[1..=len].copy_from_slice(&reason.as_bytes()[..len]);
    // The parent may be dead.
    let _ = channel::send(channel, &message[..=len]);
}

/// A process that was started to run a function, and begins with something else, would start the next such process,
/// and so on. It gets an error, and its parent the reason.
pub fn refuse_to_found() -> Result<()> {
    if certificate().is_none() {
        return Ok(());
    }
    const REASON: &str = "the program of a process called carom before carom_init: that must be first in main";
    answer(FIRST, Answer::Refusal, REASON);
    Err(Error::NotPermitted("this process was started to run a function: call carom_init first in main"))
}
