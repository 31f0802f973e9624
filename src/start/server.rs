//! Start method forkserver: a process that was executed early, is small and has one thread, and forks the others.
//!
//! Each process that uses it has one of its own. It is nobody's child, so that a host which waits for its children does
//! not await it; the keeper ends it with its owner. Nobody else can reach it: a request comes on the channel that it was
//! born with, and brings along the channel on which the new process answers, with a descriptor of itself. How a process
//! ended is written down by the server, which reaps it.
#![forbid(unsafe_code)]

use super::child;
use super::forked::{self, Label};
use super::handshake::{self, Answer, CERTIFICATE, Certificate, News, Part};
use super::letter::{self, Letter};
use super::spawn::{self, Begun};
use super::traits::Traits;
use crate::call::{Call, Input, Output};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function::{self, Identity};
use crate::key;
use crate::log;
use crate::shm::member::{Inherits, Member, MemberId, Role, State};
use crate::sys::seeded::bug;
use crate::sys::setup::{self, Environment};
use crate::sys::{birth, channel, descriptor, fork, once, own, pidfd, signals};
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The server of `owner`, and what it runs before it serves.
struct Office {
    owner: MemberId,
    desk: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    preload: Vec<(u16, Vec<u8>)>,
    server: Option<OwnedFd>,
}

/// A forked child makes its own: its parent's server serves the parent, and its lock may be held for ever.
static OFFICE: AtomicPtr<Office> = AtomicPtr::new(std::ptr::null_mut());

fn desk(owner: MemberId) -> MutexGuard<'static, Desk> {
    let make = || Office { owner, desk: Mutex::default() };
    let office = once::get_or_make(&OFFICE, |office| office.owner == owner, make);
    office.desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server of this process runs the function at `address` before it serves: one that is started from now on.
pub fn preload(address: usize, arguments: Vec<u8>) -> Result<()> {
    let family = family::current()?;
    let function = letter::index_of(family.arena, address)?;
    desk(family.me).preload.push((function, arguments));
    Ok(())
}

/// Starts the server of this process, if it has none that lives.
pub fn start_server(family: Family) -> Result<()> {
    desk(family.me).server(family).map(|_| ())
}

impl Desk {
    /// The channel of a server that lived a moment ago.
    fn server(&mut self, family: Family) -> Result<RawFd> {
        // It never says anything more: what is readable is its end.
        let lives = |server: &OwnedFd| !descriptor::poll_readable(channel::raw(server), Some(0)).unwrap_or(true);
        if !self.server.as_ref().is_some_and(lives) {
            self.server = None;
            self.server = Some(self.launch(family)?);
        }
        Ok(self.server.as_ref().map_or(-1, channel::raw))
    }

    fn launch(&self, family: Family) -> Result<OwnedFd> {
        let id = Member::claim(family.arena, family.me, Role::Server, Inherits::Everything)?;
        let tasks: Vec<(u16, &[u8])> = self.preload.iter().map(|(function, bytes)| (*function, &bytes[..])).collect();
        let label = Label { name: c"Forkserver".into(), identity: own::identity().unwrap_or_default().into() };
        let traits = Traits::default();
        let written = letter::write(family.arena, id, &label, &traits, &[], &tasks, &[]);
        let begun = written.and_then(|()| spawn::start(family, id, Part::Server, &traits, &[]));
        let Begun { pid, channel, .. } = begun.inspect_err(|_| spawn::give_up(family, id))?;
        log::debug(format_args!("started a forkserver with pid {pid}"));
        Ok(channel)
    }
}

/// Has the server fork the member `id`, whose letter is written, to do its `part`, and waits until it does. What `given`
/// names reaches it too.
pub fn start(family: Family, id: MemberId, part: Part, traits: &Traits, given: &[RawFd]) -> Result<(u32, OwnedFd)> {
    let member = family.arena.member(id.slot);
    loop {
        let ours = request(family, id, part, traits, given)?;
        return match handshake::listen(&ours, None) {
            Ok(News::Runs(along)) => {
                let handle = along.into_iter().next().ok_or(Error::Panic("a process without a descriptor".into()))?;
                member.pidfd_inode.store(pidfd::inode(pidfd::raw(&handle)), Ordering::Release);
                family::tell_of_birth(family.arena);
                Ok((member.pid.load(Ordering::Acquire), handle))
            }
            // The server died before it forked: another one will.
            Ok(News::Ended)
                if member.identity() == (State::Claimed, id.generation)
                    && !bug("server: its death is that of who was not forked yet") =>
            {
                continue;
            }
            Ok(News::Ended) => Err(Error::Broken("the process ended before it ran its function".into())),
            Ok(News::Refuses(error)) => Err(error),
            Err(error) => {
                // If there is a process, nobody here has a descriptor of it: it is the keeper's to end.
                if !member.cancel(id.generation) {
                    member.disown();
                    family::tell_of_birth(family.arena);
                    family::ring();
                }
                Err(error)
            }
        };
    }
}

/// Sends the request to a server that lives; this process's end of the channel on which the new process answers.
fn request(family: Family, id: MemberId, part: Part, traits: &Traits, given: &[RawFd]) -> Result<OwnedFd> {
    let (ours, theirs) = channel::pair()?;
    let method = super::default_if_set().map_or(0, |method| method as u32);
    let mut message = Certificate { member: id, part, method }.to_bytes().to_vec();
    let mut along = vec![channel::raw(&theirs)];
    for (stream, number) in (0..).zip(traits.stream_numbers()) {
        // What this process writes to now, not what it wrote to when the server was started.
        let number = if number == setup::AS_IT_IS { stream } else { number };
        message.push(match number {
            setup::NULL => NOWHERE,
            usual if usual == stream && !descriptor::is_open(usual) => CLOSED,
            number => {
                along.push(number);
                SENT
            }
        });
    }
    along.extend_from_slice(given);
    let mut desk = desk(family.me);
    loop {
        match channel::send_with(desk.server(family)?, &message, &along) {
            // It died since the look.
            Err(Error::Os { errno: 32 | 104 | 107, .. }) => desk.server = None,
            sent => return sent.map(|()| ours),
        }
    }
}

/// Of each standard stream of a new process, behind the certificate: it reads nothing and swallows everything; it is
/// closed; it is sent along.
const NOWHERE: u8 = 0;
const CLOSED: u8 = 1;
const SENT: u8 = 2;

/// What a server does. `letter` says what comes first.
pub fn serve(family: Family, letter: Letter, channel: OwnedFd) -> ! {
    let title = fork::title();
    fork::set_title(c"carom-server");
    signals::ignore_interrupt();
    key::inherit(letter.key.as_deref());
    own::set_name(Box::leak(letter.label.name));
    own::set_identity(Box::leak(letter.label.identity));
    let begun = letter.tasks.iter().try_for_each(|task| run_once(function::resolve(&task.function)?, task.arguments));
    // Whatever the preload has changed; so no child need do it.
    fork::default_signals(birth::IGNORED);
    match begun.and_then(|()| signals::child_events()) {
        Err(error) => handshake::refuse(channel::raw(&channel), &error),
        Ok(ends) => {
            handshake::say(channel::raw(&channel), Answer::Ready, &[], &[]);
            Server { family, channel, ends, title, children: HashMap::new(), last: None }.run();
        }
    }
    fork::leave_at_once(0)
}

fn run_once(address: usize, arguments: &'static [u8]) -> Result<()> {
    let mut call = Call::new(Input::Encoded(arguments), Output::Nowhere);
    let result = call.enter(|call| call.run(address))?;
    match (result, call.failure().1) {
        (0, _) => Ok(()),
        (code, said) => {
            let said = String::from_utf8_lossy(said);
            Err(Error::Broken(format!("a function of the forkserver's preload failed with {code} {said}").into()))
        }
    }
}

struct Server {
    family: Family,
    channel: OwnedFd,
    /// Readable when a child has ended.
    ends: OwnedFd,
    /// What the processes are called in ps and top: as the program.
    title: CString,
    children: HashMap<u32, MemberId>,
    /// The function that was looked up last: nothing is loaded or unloaded here meanwhile.
    last: Option<(Identity, usize)>,
}

impl Server {
    /// Until the owner has closed the channel, and every child has ended: nobody else can say how.
    fn run(&mut self) {
        let mut open = true;
        while open || !self.children.is_empty() {
            let channel = if open { channel::raw(&self.channel) } else { -1 };
            let _ = descriptor::poll_either([channel, channel::raw(&self.ends)], None);
            // Who asks waits, who has ended does not.
            while open {
                let (mut message, mut along) = ([0; CERTIFICATE + 3], Vec::new());
                match channel::receive_with(channel, &mut message, &mut along) {
                    Ok(None) => break,
                    Ok(Some(0)) => open = false,
                    Ok(Some(len)) => self.fork(&message[..len], along),
                    // Its channel is gone, which is an answer; or it is there still, but who has ended does not wait for that.
                    Err(error) => {
                        log::warning(format_args!("forkserver: {error}"));
                        break;
                    }
                }
            }
            self.bury();
        }
    }

    /// Where a function is. What may have to load a module is left to the child.
    fn look_up(&mut self, function: &Identity) -> Option<usize> {
        if let Some((_, address)) = self.last.as_ref().filter(|(last, _)| last == function) {
            return Some(*address);
        }
        let address = function::look_up(function)?;
        self.last = Some((function.clone(), address));
        Some(address)
    }

    /// A request: a certificate, and what becomes of the streams.
    fn fork(&mut self, message: &[u8], along: Vec<OwnedFd>) {
        let (certificate, streams) = message.split_at(message.len().min(CERTIFICATE));
        let Some(certificate) = Certificate::from_bytes(certificate) else { return };
        let Some(reply) = along.first().map(channel::raw) else { return };
        // Here, where code and memory for it are at hand: each page that a child touches first costs it a fault.
        let letter = match letter::read(self.family.arena, certificate.member) {
            Ok(letter) => letter,
            Err(error) => return handshake::refuse(reply, &error),
        };
        let usual = certificate.part == Part::Process && letter.is_usual();
        let known = letter.tasks.first().filter(|_| usual).and_then(|task| self.look_up(&task.function));
        match birth::fork_child() {
            Ok(fork::Side::Child) => self.be(&certificate, letter, known, &along, streams),
            Ok(fork::Side::Parent(pid)) => _ = self.children.insert(pid, certificate.member),
            Err(error) => handshake::refuse(reply, &error),
        }
    }

    /// In the child. What most of them do is inlined here and makes its system calls itself, allocates nothing and frees
    /// nothing: as in `Plan::be`, for each page of code or data that it touches costs a fault. `known`: where its
    /// function is, if there is nothing else to be done.
    #[inline(always)]
    fn be(
        &self,
        certificate: &Certificate,
        letter: Letter,
        known: Option<usize>,
        along: &[OwnedFd],
        streams: &[u8],
    ) -> ! {
        let Family { arena, .. } = self.family;
        let (reply, mut given) = (along[0].as_raw_fd(), &along[1..]);
        for (stream, what) in (0..).zip(streams) {
            match (*what, given) {
                (SENT, [sent, rest @ ..]) => {
                    descriptor::place(sent.as_raw_fd(), stream);
                    descriptor::close(sent.as_raw_fd());
                    given = rest;
                }
                (CLOSED, _) => descriptor::close(stream),
                // The server's is mostly such a one.
                _ if stream == 0 => descriptor::stdin_from_null(),
                _ => descriptor::streams_from_null(&[stream]),
            }
        }
        descriptor::close(self.channel.as_raw_fd());
        descriptor::close(self.ends.as_raw_fd());
        signals::heed_interrupt();
        fork::set_title(&self.title);
        if !family::be_quietly(arena, certificate.member) {
            fork::leave_at_once(1);
        }
        if super::default_number() != certificate.method {
            let _ = super::set_default(super::Method::of_number(certificate.method), true);
        }
        match known {
            Some(address) => self.begin_usual(certificate, letter, address, reply),
            None => self.begin(certificate, letter, reply, given),
        }
    }

    /// As `child::be`, where nothing can fail.
    #[inline(always)]
    fn begin_usual(&self, certificate: &Certificate, letter: Letter, address: usize, reply: RawFd) -> ! {
        let handle = pidfd::open_own();
        if handle < 0 {
            // It fails again, and says how.
            self.begin(certificate, letter, reply, &[]);
        }
        channel::send_first(reply, Answer::Ready as u8, handle);
        descriptor::close(reply);
        descriptor::close(handle);
        let arguments = letter.tasks.first().map_or(&[][..], |task| task.arguments);
        let Letter { label, traits, descriptors, key, tasks, .. } = letter;
        std::mem::forget((traits, descriptors, key, tasks));
        forked::run_given(label, address, arguments, Vec::new())
    }

    #[cold]
    #[inline(never)]
    fn begin(&self, certificate: &Certificate, mut letter: Letter, reply: RawFd, given: &[OwnedFd]) -> ! {
        let Family { arena, .. } = self.family;
        if let Some(kept) = letter.traits.signals {
            kept.assume();
        }
        match pidfd::open(fork::pid()) {
            Ok(handle) => {
                if let Some(variables) = letter.traits.environment.take() {
                    Environment::new(variables).assume();
                }
                let family = Family { arena, me: certificate.member };
                let given = given.iter().map(channel::raw).collect();
                child::be(certificate.part, family, letter, reply, &[pidfd::raw(&handle)], given)
            }
            Err(error) => handshake::refuse(reply, &error),
        }
        fork::leave_at_once(255)
    }

    /// Reaps who has ended. First it is written down, for whoever knows that it is reaped reads it.
    fn bury(&mut self) {
        signals::hush(&self.ends);
        while let Some((pid, exit)) = fork::ended_child() {
            if let Some(id) = self.children.remove(&pid) {
                let member = self.family.arena.member(id.slot);
                // Read first: if it was this member's, and there is nothing, its parent waits for what is written now. If
                // there is something, the parent may have looked, and the slot be another's after the next line.
                let said = member.recorded_exit();
                if member.identity().1 == id.generation && said.is_none() {
                    member.record_ending(exit);
                }
            }
            fork::wait_for(pid);
        }
    }
}
