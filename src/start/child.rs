//! A process that was started by exec: how it finds out, in `carom_init`, who it is and what it does.
//!
//! It is recognised by what waits at the first descriptor that a program can have: a channel with a certificate.
#![forbid(unsafe_code)]

use super::forked;
use super::handshake::{self, Answer, CERTIFICATE, Certificate, Part};
use super::letter::{self, Letter};
use super::server;
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function;
use crate::keeper;
use crate::key;
use crate::pool;
use crate::shm::arena::Arena;
use crate::sys::channel::{self, MESSAGE};
use crate::sys::exec::FIRST;
use crate::sys::{descriptor, fork};
use std::mem::ManuallyDrop;
use std::os::fd::{OwnedFd, RawFd};

/// Behind the descriptors of ours come those that the process is given.
const OURS: RawFd = FIRST + 3;

/// The certificate of this process, if it has one: left where it is.
fn certificate() -> Option<Certificate> {
    let mut message = [0; MESSAGE];
    let len = channel::peek(FIRST, &mut message)?;
    Certificate::from_bytes(&message[..len])
}

/// Does not return if this process was started to do something; else there is nothing to do.
pub fn begin() {
    if Arena::get().is_some() {
        return;
    }
    let Some(certificate) = certificate() else { return };
    let [channel, file, doorbell] = [0, 1, 2].map(|number| channel::adopt(FIRST + number));
    // Taken: from now on this is like any other process.
    let _ = channel::receive(channel::raw(&channel), &mut [0; CERTIFICATE]);
    let _ = super::set_default(super::Method::of_number(certificate.method), true);
    match enter(&certificate, file, doorbell) {
        Ok((family, letter)) if certificate.part == Part::Server => server::serve(family, letter, channel),
        Ok((family, letter)) => {
            let given = (0..letter.descriptors.len()).map(|index| OURS + index as RawFd);
            let given = given.map(|number| channel::raw(&ManuallyDrop::new(channel::adopt(number)))).collect();
            be(certificate.part, family, letter, channel::raw(&channel), &[], given)
        }
        Err(error) => handshake::refuse(channel::raw(&channel), &error),
    }
    fork::leave_at_once(255)
}

fn enter(certificate: &Certificate, file: OwnedFd, doorbell: OwnedFd) -> Result<(Family, Letter)> {
    let me = certificate.member;
    let family = family::enter(file, doorbell, me)?;
    // The parent is dead, and nobody waits for an answer.
    let Some(family) = family else { fork::leave_at_once(1) };
    Ok((family, letter::read(family.arena, me)?))
}

/// Does its part. Returns only if that cannot be, when it has said so.
pub fn be(part: Part, family: Family, letter: Letter, channel: RawFd, along: &[RawFd], given: Vec<RawFd>) {
    key::inherit(letter.key.as_deref());
    if part != Part::Template {
        return run(letter, channel, along, given);
    }
    let bells = <[RawFd; 2]>::try_from(given).map_err(|_| Error::Broken("a template without its descriptors".into()));
    match bells.and_then(|bells| pool::template_of(family, letter.duty, bells)) {
        Err(error) => handshake::refuse(channel, &error),
        Ok(template) => {
            // From now on it finds out by itself that there is no host any more.
            letter::forget(family.arena, family.me);
            handshake::say(channel, Answer::Ready, &[], along);
            keeper::run(family.arena, family.me, template)
        }
    }
}

/// Becomes what the letter says, and runs it; sends `along` with the news. `given`: the descriptors of the parent's that
/// this process has. Returns only if that cannot be, when it has said so.
fn run(letter: Letter, channel: RawFd, along: &[RawFd], given: Vec<RawFd>) {
    if let Err(failure) = letter.traits.assume() {
        return handshake::say(channel, Answer::Failure, &failure.to_bytes(), &[]);
    }
    let task = letter.tasks.first().ok_or(Error::Broken("there is nothing to run".into()));
    match task.and_then(|task| Ok((function::resolve(&task.function)?, task.arguments))) {
        Err(error) => handshake::refuse(channel, &error),
        Ok((address, arguments)) => {
            handshake::say(channel, Answer::Ready, &[], along);
            descriptor::close(channel);
            along.iter().for_each(|fd| descriptor::close(*fd));
            let descriptors = letter.descriptors.into_iter().zip(given).collect();
            forked::run_given(letter.label, address, arguments, descriptors)
        }
    }
}

/// A process that was started to run a function, and begins with something else, would start the next such process,
/// and so on. It gets an error, and its parent the reason.
pub fn refuse_to_found() -> Result<()> {
    if certificate().is_none() {
        return Ok(());
    }
    const REASON: &str = "the program of a process called carom before carom_init: that must be first in main";
    handshake::say(FIRST, Answer::Refusal, REASON.as_bytes(), &[]);
    Err(Error::NotPermitted("this process was started to run a function: call carom_init first in main"))
}
