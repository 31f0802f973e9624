//! Types of objects that a program brings along: functions of its own that make, use and end what only they understand.
//!
//! What the server knows of such an object is one word, which the function that made it left (`Call::object`). A method runs on
//! the server's loop, so that it needs no lock and others see all of it or nothing; one that blocks runs in a thread of the
//! [crew](super::crew), and guards the object itself. Values cross as the encoding that every function gets; objects of the
//! manager among them are cells that this process makes for the time of the call.
#![forbid(unsafe_code)]

use super::argument::to_value;
use super::client;
use super::object::Object;
use super::server::Server;
use super::value::{self, Proxy, Value};
use super::{Job, Outcome, Phase, kind, no_method, protocol};
use crate::call::{Call, Input, Output};
use crate::error::{Error, Result};
use crate::family;
use crate::function::{self, IDENTITY_SIZE, Identity};
use crate::sys::clock::now_ns;
use crate::sys::lent::Lent;
use crate::wire::{self, Argument};
use std::rc::Rc;

/// Types of one manager at most: their numbers follow those of the types of ours.
const MOST: usize = (u8::MAX - kind::CUSTOM) as usize;

/// A method of a type.
#[derive(Debug, Clone, PartialEq)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// The function.
    pub function: usize,
    /// The type that its result is made an object of.
    pub result: Option<String>,
    /// It runs in a thread of its own.
    pub blocking: bool,
}

/// A type of objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// Its name.
    pub name: String,
    /// Makes an object; 0 for nothing.
    pub create: usize,
    /// Ends one; 0 for nothing.
    pub destroy: usize,
    /// All that can be called.
    pub methods: Vec<Method>,
    /// Objects of it come from methods only.
    pub no_create: bool,
}

/// An object of such a type.
pub(super) struct Custom {
    kind: Rc<Type>,
    /// What the function that made it left.
    state: u64,
    /// Methods that run in threads.
    busy: usize,
}

/// A run of a function.
pub(super) struct Work {
    function: usize,
    state: u64,
    input: Lent,
    /// Cells that stand for objects among the arguments, and their generations.
    cells: Vec<(u64, u32)>,
    object: u64,
    /// Whose call it is: what comes of it is stored for him, whoever has called meanwhile.
    client: u64,
    result: Option<String>,
}

/// What came of it.
pub(super) struct Done {
    code: i32,
    message: String,
    /// The encoding of what it replied with, if it did.
    answer: Vec<u8>,
    /// What was made, if something was.
    made: Option<u64>,
    cells: Vec<(u64, u32)>,
    pub(super) object: u64,
    client: u64,
    result: Option<String>,
}

/// Whether the types make sense: names that differ from each other and from ours, results of types that there are.
pub fn check(types: &[Type]) -> Result<()> {
    if types.len() > MOST {
        return Err(Error::invalid("a manager cannot have so many types"));
    }
    let is_known = |name: &str| kind::NAMES.iter().any(|(known, _)| *known == name);
    for (index, kind) in types.iter().enumerate() {
        if is_known(&kind.name) || types[..index].iter().any(|other| other.name == kind.name) {
            return Err(Error::Exists("the manager has a type of this name already"));
        }
        if kind.create == 0 && !kind.no_create {
            return Err(Error::invalid("a type has a function that makes its objects, or no_create"));
        }
        for (index, method) in kind.methods.iter().enumerate() {
            if kind.methods[..index].iter().any(|other| other.name == method.name) {
                return Err(Error::Exists("the type has a method of this name already"));
            }
            let is_type = |result: &String| is_known(result) || types.iter().any(|kind| kind.name == *result);
            if !method.result.as_ref().is_none_or(is_type) {
                return Err(Error::NotFound("a method's result is of a type that the manager does not have"));
            }
        }
    }
    Ok(())
}

/// A function as other processes know it; nil for none.
pub fn identity_of(address: usize) -> Result<Value> {
    match address {
        0 => Ok(Value::Nil),
        address => function::identify(address).map(|identity| Value::Bytes(identity.to_bytes().to_vec())),
    }
}

/// The types for another process, in which the functions may lie elsewhere.
pub fn pack(types: &[Type]) -> Result<Vec<u8>> {
    let method = |method: &Method| {
        let result = method.result.as_deref().map_or(Value::Nil, Value::text);
        let blocking = Value::Bool(method.blocking);
        Ok(Value::List(vec![Value::text(&method.name), identity_of(method.function)?, result, blocking]))
    };
    let one = |kind: &Type| {
        let methods = kind.methods.iter().map(method).collect::<Result<Vec<_>>>()?;
        let (create, destroy) = (identity_of(kind.create)?, identity_of(kind.destroy)?);
        let no_create = Value::Bool(kind.no_create);
        Ok(Value::List(vec![Value::text(&kind.name), create, destroy, Value::List(methods), no_create]))
    };
    protocol::pack(&Value::List(types.iter().map(one).collect::<Result<Vec<_>>>()?))
}

fn strange() -> Error {
    Error::Broken("this is no list of types".into())
}

/// A function in this process, as [`identity_of`] has named it in another.
pub(super) fn address_of(function: &Value) -> Result<usize> {
    match function {
        Value::Nil => Ok(0),
        Value::Bytes(bytes) => {
            let bytes: &[u8; IDENTITY_SIZE] = bytes[..].try_into().map_err(|_| strange())?;
            function::resolve(&Identity::from_bytes(bytes)?)
        }
        _ => Err(strange()),
    }
}

fn text_of(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => String::from_utf8(text.clone()).map_err(|_| strange()),
        _ => Err(strange()),
    }
}

/// The types, in the process that is to serve them.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Type>> {
    let Value::List(types) = protocol::unpack(bytes)? else { return Err(strange()) };
    types.iter().map(unpack_one).collect()
}

fn unpack_one(packed: &Value) -> Result<Type> {
    let Value::List(parts) = packed else { return Err(strange()) };
    let [name, create, destroy, Value::List(methods), Value::Bool(no_create)] = &parts[..] else {
        return Err(strange());
    };
    let method = |method: &Value| {
        let Value::List(parts) = method else { return Err(strange()) };
        let [name, function, result, Value::Bool(blocking)] = &parts[..] else { return Err(strange()) };
        let result = if *result == Value::Nil { None } else { Some(text_of(result)?) };
        Ok(Method { name: text_of(name)?, function: address_of(function)?, result, blocking: *blocking })
    };
    let methods = methods.iter().map(method).collect::<Result<_>>()?;
    let (create, destroy) = (address_of(create)?, address_of(destroy)?);
    Ok(Type { name: text_of(name)?, create, destroy, methods, no_create: *no_create })
}

impl Work {
    /// Runs the function, in whatever thread this is.
    pub(super) fn run(self) -> Done {
        let mut call = Call::new(Input::Encoded(self.input.bytes()), Output::Value);
        call.object = self.state;
        let ran = call.enter(|call| call.run(self.function));
        let (code, message) = match &ran {
            Ok(0) => (0, String::new()),
            Ok(code) => (*code, String::from_utf8_lossy(call.failure().1).into_owned()),
            Err(error) => (1, error.to_string()),
        };
        let answer = if code == 0 { call.take_answer() } else { Vec::new() };
        let (cells, object, client, result) = (self.cells, self.object, self.client, self.result);
        Done { code, message, answer, made: call.made, cells, object, client, result }
    }
}

impl Done {
    fn check(&self) -> Result<()> {
        match (self.code, &self.message) {
            (0, _) => Ok(()),
            (code, message) if message.is_empty() => {
                Err(Error::TaskFailed(format!("the method returned {code}").into()))
            }
            (_, message) => Err(Error::TaskFailed(message.clone().into())),
        }
    }
}

/// A value as the argument of a function.
fn argument_of<'a>(value: &'a Value, cell: &mut impl FnMut(Proxy) -> Result<u64>) -> Result<Argument<'a>> {
    Ok(match value {
        Value::Nil => Argument::Nil,
        Value::Bool(bool) => Argument::Bool(*bool),
        Value::Integer(integer) => Argument::Integer(*integer),
        Value::Real(real) => Argument::Real(*real),
        Value::Bytes(bytes) => Argument::Bytes(bytes),
        Value::String(text) => Argument::String(text),
        Value::List(items) => Argument::List(items.iter().map(|item| argument_of(item, cell)).collect::<Result<_>>()?),
        Value::Map(pairs) => {
            let mut shown = Vec::with_capacity(pairs.len());
            for (key, value) in pairs {
                shown.push((argument_of(key, cell)?, argument_of(value, cell)?));
            }
            Argument::Map(shown)
        }
        Value::Proxy(proxy) => Argument::Handle(cell(*proxy)?),
    })
}

impl Custom {
    /// Whether a thread is at it.
    pub(super) fn is_busy(&self) -> bool {
        self.busy > 0
    }
}

impl Server {
    /// A number of the type with this name.
    pub(super) fn kind_of(&self, name: &str) -> Option<u8> {
        let ours = kind::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        let theirs = || self.types.iter().position(|kind| kind.name == name).map(|index| kind::CUSTOM + index as u8);
        ours.or_else(theirs)
    }

    /// The name of a type.
    pub(super) fn name_of(&self, number: u8) -> &str {
        let ours = kind::NAMES.iter().rfind(|(_, kind)| *kind == number).map(|(name, _)| *name);
        let theirs = || self.types.get(number.checked_sub(kind::CUSTOM)? as usize).map(|kind| &*kind.name);
        ours.or_else(theirs).unwrap_or("?")
    }

    fn type_of(&self, number: u8) -> Option<Rc<Type>> {
        self.types.get(number.checked_sub(kind::CUSTOM)? as usize).cloned()
    }

    /// Makes an object of a type of the program's.
    pub(super) fn make_custom(&mut self, number: u8, given: Vec<Value>) -> Result<Object> {
        let kind = self.type_of(number).ok_or(Error::NotFound("the manager has no such type"))?;
        if kind.no_create {
            return Err(Error::NotPermitted("objects of this type come from methods only"));
        }
        let work = self.prepare(0, kind.create, 0, None, given)?;
        let done = work.run();
        self.put_cells_away(&done.cells);
        done.check()?;
        Ok(Object::Custom(Custom { kind, state: done.made.unwrap_or(0), busy: 0 }))
    }

    /// A run of a function with these arguments.
    fn prepare(
        &mut self,
        object: u64,
        function: usize,
        state: u64,
        result: Option<String>,
        given: Vec<Value>,
    ) -> Result<Work> {
        let mut cells = Vec::new();
        match self.encode(&given, &mut cells) {
            Ok(input) => {
                let client = value::payer();
                Ok(Work { function, state, input: Lent::new(input), cells, object, client, result })
            }
            Err(error) => {
                self.put_cells_away(&cells);
                Err(error)
            }
        }
    }

    /// Values as a function gets them; objects among them as cells that are to be put away.
    pub(super) fn encode(&mut self, given: &[Value], cells: &mut Vec<(u64, u32)>) -> Result<Vec<u8>> {
        let mut cell = |proxy| {
            let (cell, reference) = self.make_cell(proxy)?;
            cells.push(cell);
            Ok(reference)
        };
        let arguments = given.iter().map(|value| argument_of(value, &mut cell)).collect::<Result<Vec<_>>>()?;
        wire::to_vec(&arguments)
    }

    /// A cell of this process's that stands for an object, and the reference to it.
    fn make_cell(&mut self, proxy: Proxy) -> Result<((u64, u32), u64)> {
        let manager = self.manager().ok_or(Error::Unsupported(
            "a server that no program started gives no objects to functions: its clients are of other families",
        ))?;
        let family = family::current()?;
        let (cell, generation) = client::make_cell(family, manager, proxy)?;
        let name = (family.arena.cell_index(cell), generation);
        if let Some(entry) = self.entries.get_mut(&proxy.object) {
            entry.cells.push((name.0, generation as u64));
        }
        Ok((name, cell.reference(family.arena).to_bits()))
    }

    /// The function has returned: what it has not kept goes.
    pub(super) fn put_cells_away(&mut self, cells: &[(u64, u32)]) {
        let Ok(family) = family::current() else { return };
        for (index, generation) in cells {
            let Some(cell) = family.arena.cell(*index) else { continue };
            let object = client::proxy_of(cell).object;
            cell.let_go(family.arena, *generation, family.me.slot);
            self.look(object);
        }
    }

    /// Attempts a call of an object that was taken out of its entry.
    pub(super) fn call_custom(&mut self, job: &mut Job, custom: &mut Custom) -> Result<Outcome> {
        if job.phase != Phase::Fresh {
            return Ok(Outcome::Wait);
        }
        let kind = custom.kind.clone();
        let method = kind.methods.iter().find(|method| method.name == job.method).ok_or_else(no_method)?;
        // What has no time is not begun: it would go on behind its caller's back.
        if method.blocking && job.deadline.is_some_and(|deadline| deadline <= now_ns()) {
            return Ok(Outcome::Wait);
        }
        let given = std::mem::take(&mut job.arguments);
        let work = self.prepare(job.object, method.function, custom.state, method.result.clone(), given)?;
        if !method.blocking {
            let done = work.run();
            return self.conclude(done).map(Outcome::Done);
        }
        self.crew()?.submit(job.number, work)?;
        custom.busy += 1;
        job.phase = Phase::Asleep { levels: 0 };
        Ok(Outcome::Wait)
    }

    /// What a function's run gives to its caller.
    fn conclude(&mut self, done: Done) -> Result<Value> {
        value::charge(done.client);
        let result = done.check().and_then(|()| self.value_of(&done));
        self.put_cells_away(&done.cells);
        result
    }

    fn value_of(&mut self, done: &Done) -> Result<Value> {
        let value = match done.answer.is_empty() {
            true => None,
            false => Some(to_value(self.manager().unwrap_or_default(), &wire::argument(&done.answer, 0)?)?),
        };
        let Some(name) = &done.result else { return Ok(value.unwrap_or(Value::Nil)) };
        let number = self.kind_of(name).ok_or(Error::NotFound("the manager has no such type"))?;
        let object = match self.type_of(number) {
            Some(kind) => {
                let made = done.made.ok_or(Error::TaskFailed("the method did not say what it has made".into()))?;
                Object::Custom(Custom { kind, state: made, busy: 0 })
            }
            None => self.make_ours(number, value.into_iter().collect())?,
        };
        let object = self.add(number, object, false);
        Ok(Value::Proxy(Proxy { object, kind: number }))
    }

    /// What threads have done.
    pub(super) fn hear_crew(&mut self) {
        let Some(crew) = &self.crew else { return };
        for (number, done) in crew.take() {
            let object = done.object;
            if let Some(Some(Object::Custom(custom))) = self.entries.get_mut(&object).map(|entry| &mut entry.object) {
                custom.busy -= 1;
            }
            self.doubtful.push(object);
            let result = self.conclude(done);
            match self.unpark(number) {
                Some(job) => self.finish(job, result.map(Outcome::Done)),
                // Whoever waited for it has ceased to: an object that was made for him goes.
                None => self.doubtful.extend(result.ok().and_then(|value| match value {
                    Value::Proxy(proxy) => Some(proxy.object),
                    _ => None,
                })),
            }
        }
    }

    /// The object is needed no more.
    pub(super) fn discard(&mut self, object: Option<Object>) {
        let custom = match object {
            Some(Object::Custom(custom)) => custom,
            Some(Object::Pool(pool)) => return self.discard_pool(pool),
            Some(Object::Task(task)) => return self.discard_task(&task),
            _ => return,
        };
        if custom.kind.destroy != 0 && !custom.is_busy() {
            let nothing = Lent::new(wire::to_vec(&[]).unwrap_or_default());
            let (function, state) = (custom.kind.destroy, custom.state);
            Work { function, state, input: nothing, cells: Vec::new(), object: 0, client: 0, result: None }.run();
        }
    }
}
