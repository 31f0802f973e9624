//! What a function sees while it runs: its arguments, and where its reply goes. One type for process
//! targets, pool tasks, initializers, and whatever else runs a user's function.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::shm;
use crate::shm::arena::Arena;
use crate::shm::heap::Heap;
use crate::shm::job_note::JobNote;
use crate::shm::region::{self, Region};
use crate::sys::own::own;
use crate::sys::{fork, stop};
use crate::wire::{self, Argument};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Where the arguments lie.
#[derive(Clone, Copy)]
pub enum Input {
    /// Encoded, see [`wire`]; nobody writes them while the call runs.
    Encoded(&'static [u8]),
    /// One argument of bytes: an item of an array.
    Item(Region),
    /// No arguments.
    Nothing,
}

/// Where a reply goes.
#[derive(Clone, Copy)]
pub enum Output {
    /// Nobody asked for one.
    Nowhere,
    /// Exactly so many bytes at this place: an item of the caller's array.
    Exact(Region),
    /// Kept in the call as a value of any kind: see [`Call::reply_value`].
    Value,
    /// Into `inline` if it fits, else into a heap block that `field` owns.
    Any {
        /// Room for short replies.
        inline: Region,
        /// The arena of the block.
        arena: Arena,
        /// Owner of the block.
        field: &'static AtomicU64,
    },
}

const MESSAGE: usize = 160;

/// One run of a user's function.
pub struct Call {
    input: Input,
    output: Output,
    /// Bytes of the reply, if there is one.
    replied: Option<usize>,
    reserved: Option<Region>,
    code: i32,
    /// It has asked to be called when it should stop.
    hooked: bool,
    /// It has reserved, failed or borrowed: done something that the next run must not find.
    used: bool,
    message: [u8; MESSAGE],
    message_len: usize,
    /// What was opened for this run only, and how each is given back.
    borrowed: Vec<(u64, fn(u64))>,
    /// The encoding of the reply, where that is a value.
    answer: Vec<u8>,
    /// What a method of a manager's object works at: a word of the user's.
    pub object: u64,
    /// The task that it is a run of; none in a process.
    pub task: Option<JobNote>,
    /// What was made: likewise.
    pub made: Option<u64>,
    /// Connections and listeners that were passed by descriptor: what the caller called that, and the handle here.
    pub opened: Vec<(i32, u64)>,
    /// What the caller called the descriptors among the arguments, and what they are here. None: they are the same.
    pub descriptors: &'static [(i32, i32)],
}

/// Whether `address` is a call that runs in this process now: what a handle of a call is checked against.
#[inline(always)]
pub fn is_running(address: usize) -> bool {
    is_first(address) || runs_beside(address)
}

/// Whether `address` is the first call of its process: most run one at a time.
#[inline(always)]
pub fn is_first(address: usize) -> bool {
    address != 0 && own().calls[0].load(Acquire) == address as u64
}

#[inline(never)]
fn runs_beside(address: usize) -> bool {
    address != 0 && own().calls[1..].iter().any(|entry| entry.load(Acquire) == address as u64)
}

/// Keeps a call known as running.
struct Running<'a> {
    entry: &'a AtomicU64,
}

impl Running<'_> {
    #[inline(always)]
    fn enter(address: u64) -> Result<Running<'static>> {
        let free = |entry: &&AtomicU64| entry.compare_exchange(0, address, Release, Relaxed).is_ok();
        match own().calls.iter().find(free) {
            Some(entry) => Ok(Running { entry }),
            None => Err(Error::NoMemory("too many calls run in this process at once")),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.entry.store(0, Release);
    }
}

/// In a child that the function forked, and that came back from it too: what comes next is the parent's to do.
#[cold]
fn leave_copy(result: i32) -> ! {
    fork::leave(if (0..=255).contains(&result) { result } else { 255 })
}

impl Call {
    /// A call that has not run.
    pub fn new(input: Input, output: Output) -> Call {
        Call {
            input,
            output,
            replied: None,
            reserved: None,
            code: 0,
            hooked: false,
            used: false,
            message: [0; MESSAGE],
            message_len: 0,
            borrowed: Vec::new(),
            answer: Vec::new(),
            object: 0,
            task: None,
            made: None,
            opened: Vec::new(),
            descriptors: &[],
        }
    }

    /// What a descriptor among the arguments is in this process, if it was given one of its own.
    pub fn given(&self, there: i32) -> Option<i32> {
        self.descriptors.iter().find(|(number, _)| *number == there).map(|(_, here)| *here)
    }

    /// What a descriptor among the arguments is in this process.
    pub fn descriptor(&self, there: i32) -> i32 {
        self.given(there).unwrap_or(there)
    }

    /// Another run with the same function: the next item.
    #[inline(always)]
    pub fn renew(&mut self, input: Input, output: Output) {
        self.input = input;
        self.output = output;
        self.replied = None;
        if self.used {
            self.forget();
        }
    }

    #[cold]
    fn forget(&mut self) {
        self.used = false;
        self.reserved = None;
        self.message_len = 0;
        self.give_back();
    }

    /// `what` was opened for this run; `give_back` is called with it when the run is over.
    pub fn borrow(&mut self, what: u64, give_back: fn(u64)) {
        self.used = true;
        self.borrowed.push((what, give_back));
    }

    /// Whether `what` is borrowed.
    pub fn lends(&self, what: u64) -> bool {
        self.borrowed.iter().any(|(borrowed, _)| *borrowed == what)
    }

    /// `what` is no longer borrowed.
    pub fn keep(&mut self, what: u64) {
        self.borrowed.retain(|(borrowed, _)| *borrowed != what);
    }

    /// Nothing is borrowed any more: this process keeps it for good.
    pub fn keep_all(&mut self) {
        self.borrowed.clear();
    }

    #[inline(always)]
    fn give_back(&mut self) {
        while let Some((what, give_back)) = self.borrowed.pop() {
            give_back(what);
        }
    }

    /// Runs `steps`, in which [`Call::run`] may be used; the call is known as running meanwhile.
    #[inline(always)]
    pub fn enter<T>(&mut self, steps: impl FnOnce(&mut Call) -> T) -> Result<T> {
        let running = Running::enter(self as *const Call as u64)?;
        let result = steps(self);
        drop(running);
        self.give_back();
        Ok(result)
    }

    /// Enters and runs the function at `address`. For who has just been forked, to whom a closure that is called is one
    /// page fault more.
    #[inline(always)]
    pub fn run_first(&mut self, address: usize) -> Result<i32> {
        let running = Running::enter(self as *const Call as u64)?;
        let result = self.run(address);
        drop(running);
        self.give_back();
        Ok(result)
    }

    /// Calls the function at `address`; its result, which is not 0 if it failed.
    #[inline(always)]
    pub fn run(&mut self, address: usize) -> i32 {
        let result = fork::call(address, self);
        if !is_running(self as *const Call as usize) {
            leave_copy(result);
        }
        if self.hooked {
            self.unhook();
        }
        self.code = result;
        result
    }

    /// From now on, until the function returns, `hook(context)` is called once when it should stop; at once, if that is
    /// known already. 0: nothing is.
    pub fn on_stop(&mut self, hook: usize, context: usize) {
        self.hooked = true;
        stop::set_hook(hook, context);
        if shm::stop::is_asked() {
            stop::call_hook();
        }
    }

    /// The hook's context may be on the stack of the function, which is gone.
    #[cold]
    fn unhook(&mut self) {
        self.hooked = false;
        stop::set_hook(0, 0);
    }

    /// How many arguments there are.
    pub fn count(&self) -> Result<usize> {
        match self.input {
            Input::Encoded(bytes) => wire::count(bytes),
            Input::Item(_) => Ok(1),
            Input::Nothing => Ok(0),
        }
    }

    /// An argument, in place.
    pub fn argument(&self, index: usize) -> Result<Argument<'static>> {
        match self.input {
            Input::Encoded(bytes) => wire::argument(bytes, index),
            Input::Item(item) if index == 0 => Ok(Argument::Bytes(item.frozen())),
            Input::Item(_) | Input::Nothing => Err(Error::invalid("there is no such argument")),
        }
    }

    /// The most usual case of [`Call::read`]: a number that is an item. True if this was it, and is done.
    #[inline(always)]
    pub fn read_number(&self, index: usize, bytes: &mut [u8]) -> bool {
        match self.input {
            Input::Item(item) => index == 0 && item.read_number(bytes),
            _ => false,
        }
    }

    /// The usual case of [`Call::read`]: true if this was it, and is done. Apart, because a `Result` that goes
    /// through memory costs as much as the rest of the call.
    #[inline(always)]
    pub fn read_at_once(&self, index: usize, bytes: &mut [u8]) -> bool {
        match self.input {
            Input::Nothing => false,
            Input::Item(item) => index == 0 && item.len() == bytes.len() && item.read(bytes),
            Input::Encoded(encoded) => match wire::short_bytes(encoded, index) {
                Some(source) if source.len() == bytes.len() => {
                    region::copy(source, bytes);
                    true
                }
                _ => false,
            },
        }
    }

    /// Copies an argument of exactly `bytes.len()` bytes.
    pub fn read(&self, index: usize, bytes: &mut [u8]) -> Result<()> {
        let copy = |source: &[u8], bytes: &mut [u8]| match source.len() == bytes.len() {
            true => {
                bytes.copy_from_slice(source);
                Ok(())
            }
            false => Err(Error::MessageSize { needed: source.len(), capacity: bytes.len() }),
        };
        match self.argument(index)? {
            Argument::Bytes(source) | Argument::String(source) => copy(source, bytes),
            Argument::Integer(integer) => copy(&integer.to_ne_bytes(), bytes),
            Argument::Real(real) => copy(&real.to_ne_bytes(), bytes),
            _ => Err(Error::invalid("the argument is not bytes")),
        }
    }

    /// The most usual case of [`Call::reply`]: a number for an item. True if this was it, and is done.
    #[inline(always)]
    pub fn reply_number(&mut self, bytes: &[u8]) -> bool {
        let Output::Exact(place) = self.output else { return false };
        let done = place.write_number(bytes);
        if done {
            self.replied = Some(bytes.len());
        }
        done
    }

    /// The usual case of [`Call::reply`]: true if this was it, and is done.
    #[inline(always)]
    pub fn reply_at_once(&mut self, bytes: &[u8]) -> bool {
        let done = match self.output {
            Output::Exact(place) => bytes.len() == place.len() && place.write(bytes),
            Output::Any { inline, field, .. } => field.load(Relaxed) == 0 && inline.write(bytes),
            Output::Value | Output::Nowhere => false,
        };
        if done {
            self.replied = Some(bytes.len());
        }
        done
    }

    /// Replies; the last reply counts.
    pub fn reply(&mut self, bytes: &[u8]) -> Result<()> {
        if let Output::Exact(place) = self.output {
            if bytes.len() != place.len() {
                return Err(Error::MessageSize { needed: bytes.len(), capacity: place.len() });
            }
            place.write(bytes);
            self.replied = Some(bytes.len());
            return Ok(());
        }
        if let Output::Value = self.output {
            return self.reply_value(&Argument::Bytes(bytes));
        }
        let place = self.reserve(bytes.len())?;
        if let Some(place) = place {
            place.write(bytes);
        }
        self.commit(bytes.len())
    }

    /// Room for a reply of up to `len` bytes, to be written in place; `None` where nobody reads it.
    pub fn reserve(&mut self, len: usize) -> Result<Option<Region>> {
        let place = match self.output {
            Output::Nowhere => None,
            Output::Value => return Err(Error::Unsupported("a reply to a manager's server is not reserved")),
            Output::Exact(place) => {
                Some(place.part(0, len).ok_or(Error::MessageSize { needed: len, capacity: place.len() })?)
            }
            Output::Any { inline, arena, field } => {
                // Its block goes first: of two there might not be room.
                (self.reserved, self.replied) = (None, None);
                Heap::of(arena).give(field)?;
                if len <= inline.len() {
                    inline.part(0, len)
                } else {
                    let offset = Heap::of(arena).take(len as u64, field)?;
                    Region::of(arena, offset, len as u64)
                }
            }
        };
        self.used = true;
        self.reserved = place;
        self.replied = None;
        Ok(place)
    }

    /// The first `len` reserved bytes are the reply.
    pub fn commit(&mut self, len: usize) -> Result<()> {
        let room = match (self.reserved, self.output) {
            (Some(place), _) => place.len(),
            (None, Output::Nowhere) => len,
            (None, _) => return Err(Error::NotPermitted("nothing is reserved for the reply")),
        };
        let exact = matches!(self.output, Output::Exact(place) if place.len() != len);
        if len > room || exact {
            return Err(Error::MessageSize { needed: len, capacity: room });
        }
        self.replied = Some(len);
        Ok(())
    }

    /// Replies with a value of any kind; only where somebody takes one.
    pub fn reply_value(&mut self, value: &Argument<'_>) -> Result<()> {
        if let Output::Value = self.output {
            self.answer = wire::to_vec(std::slice::from_ref(value))?;
            return Ok(());
        }
        Err(Error::NotPermitted("only a method of a manager's object replies with a value"))
    }

    /// The encoding of the value that it replied with; empty if it did not.
    pub fn take_answer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answer)
    }

    /// Whether it works at an object of a manager.
    pub fn serves(&self) -> bool {
        matches!(self.output, Output::Value)
    }

    /// Says why the call fails; the code to return, which is never 0.
    pub fn fail(&mut self, code: i32, message: &str) -> i32 {
        let mut len = message.len().min(MESSAGE);
        while !message.is_char_boundary(len) {
            len -= 1;
        }
        self.message[..len].copy_from_slice(&message.as_bytes()[..len]);
        self.message_len = len;
        self.used = true;
        if code == 0 { 1 } else { code }
    }

    /// Bytes of the reply, if there was one.
    #[inline(always)]
    pub fn replied(&self) -> Option<usize> {
        self.replied
    }

    /// What the function returned, and what it said about it.
    pub fn failure(&self) -> (i32, &[u8]) {
        (self.code, &self.message[..self.message_len])
    }
}
