//! Objects that a process of ours serves to others: of the family, of other programs, on other machines.
//! - What each call costs is a round trip to the server: two processes are woken, some 20 to 40 us here, a thousand times
//!   a shared value's. So do with one call what one call can do (`carom_dict_increment`, `carom_dict_update`, a slice of a
//!   list, `carom_dict_apply`), keep what is asked for often, and put numbers that all of a family change all the time into
//!   values and arrays instead. A process of the server's family that asks one thing after the other waits for no wake-up as long
//!   as the server has not fallen asleep, some 50 us after the last request: then a round trip takes a microsecond or two.
//! - One call is one step: others see all of what it does, or nothing. What takes several calls is put together by
//!   `carom_dict_apply`, or guarded by a lock of the manager.
//! - A manager makes the handle types that this library has for the same things: its queues, values, arrays, locks, semaphores,
//!   conditions, events and barriers are used by the functions above (only signal handlers must leave them alone), and travel as arguments
//!   and inside of each other: a list in a dict. An object lives as long as anybody has a handle of it or another object
//!   contains it; objects that contain each other live until the server ends.
//! - Programs that share nothing but address and key find each other's objects in the manager's directory.
//! - A process that dies lets go of what it had: its locks are a dead holder's, its waits are over, what it had got from a
//!   queue and not received goes to the next. A server that dies takes its objects with it: `CAROM_ECLOSED` where
//!   the request was not sent, `CAROM_EBROKEN` where nobody knows whether it was done. So does one that does not
//!   answer in time.
//! - The server ends with the process that started it.
//! - At a local address only processes of the server's user, and of root, are let in, whatever key they have. Who has the key may do everything. The key is proved, never sent; what is sent after that is not encrypted: between
//!   machines use a network that you trust, or a tunnel.

use super::array::carom_array;
use super::barrier::{carom_barrier, carom_barrier_options};
use super::boundary;
use super::call::{self, carom_argument, carom_call, carom_function};
use super::condition::carom_condition;
use super::context::{self, carom_context};
use super::dict::carom_dict;
use super::event::carom_event;
use super::handle::{self, Kind};
use super::library::carom_status;
use super::lock::{carom_lock, free, lock_deadline};
use super::managed::{handle_of, kind_of_managed, values_of};
use super::object;
use super::options::{self, Sized_};
use super::passing::{self, handle_argument};
use super::proxy::carom_proxy;
use super::queue::{carom_queue, carom_queue_options};
use super::semaphore::carom_semaphore;
use super::value::{CAROM_RAW, carom_value, length};
use crate::error::{Error, Result};
use crate::manager::argument::to_value;
use crate::manager::client::Client;
use crate::manager::custom::{self, Method, Type};
use crate::manager::protocol::Request;
use crate::manager::value::Value;
use crate::manager::{self, First, Manager, Options};
use crate::{family, key};
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// A manager. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_manager {
    _opaque: [u8; 0],
}

/// A method of a type. Frozen: arrays of it cross the border.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_method {
    /// Its name, by which `carom_proxy_call` calls it.
    pub name: *const c_char,
    /// Runs in the server with the arguments of the call; `carom_call_object` is the object, `carom_call_reply_value` and `carom_call_reply` give the result.
    pub function: carom_function,
    /// NULL: its result is a value. A type of this manager: its result becomes an object of that, and the caller gets a handle of it. The reply is what that is made of (a list that of a list), or, for a
    /// type of the program's own, what `carom_call_set_object` has set.
    pub result_type: *const c_char,
    /// 0: it runs on the server's loop, alone, and everybody waits until it is done. 1: it may block: it runs in one of the server's threads, guards the object itself, and may call other objects of this manager.
    pub blocking: u32,
    /// 0.
    pub reserved: u32,
}

/// A type of objects that a program brings along. Frozen: arrays of it cross the border.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_type {
    /// Its name, for `carom_manager_create`.
    pub name: *const c_char,
    /// Makes an object: gets the arguments, and tells by `carom_call_set_object` what it has made. NULL only with `no_create`.
    pub create: carom_function,
    /// Ends one, when nobody needs it any more, or with the server, unless a method is at it. NULL: nothing is to be done.
    pub destroy: carom_function,
    /// All that can be called, `method_count` of them.
    pub methods: *const carom_method,
    /// How many `methods` there are.
    pub method_count: usize,
    /// Not 0: its objects come from methods only, by their `result_type`.
    pub no_create: u32,
    /// 0.
    pub reserved: u32,
}

/// Options of a manager.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_manager_options {
    /// sizeof(carom_manager_options)
    pub size: usize,
    /// Where the server listens, as `carom_listener_new` takes it. NULL: at an abstract address that is made up.
    pub address: *const c_char,
    /// The key that whoever connects must have, copied. NULL: this process's, see `carom_authkey_get`.
    pub authkey: *const c_void,
    /// Length of the key.
    pub authkey_len: usize,
    /// How the server is started, NULL for the default.
    pub context: *mut carom_context,
    /// How long the server may take for an answer, besides the time for which a call waits at its object. 0: 30 seconds. `CAROM_NONE`: for ever.
    pub request_timeout_ms: i64,
    /// Bytes that its objects may take, about; what is beyond is `CAROM_ENOMEM`. 0: 1 GiB.
    pub max_bytes: u64,
    /// How values are written. NULL or "msgpack": every kind of them, as MessagePack. "bytes": by the program itself: what is stored in dicts, lists, namespaces
    /// and queues is bytes or a handle, and anything else is `CAROM_EINVAL`. For the server only: who opens a manager need not say it.
    pub serializer: *const c_char,
    /// Types besides its own, `type_count` of them, copied. Their functions are found in the server as those of a process.
    pub types: *const carom_type,
    /// How many `types` there are.
    pub type_count: usize,
    /// Runs in the server before it serves. If it fails there is no manager. NULL: nothing does.
    pub initializer: carom_function,
    /// Its arguments, copied; no descriptors.
    pub initializer_arguments: *const carom_argument,
    /// How many.
    pub initializer_count: usize,
    /// Bytes of what its objects may take that one process may have brought, about. 0: as many as all together.
    pub max_client_bytes: u64,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_manager_options {
    const LEAST: usize = 32;
}

/// What a manager's server has, see `carom_manager_info`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_manager_facts {
    /// sizeof(carom_manager_facts), set by the caller.
    pub size: usize,
    /// Objects.
    pub objects: u64,
    /// Bytes that they take, about.
    pub bytes: u64,
    /// Processes that are connected.
    pub clients: u64,
    /// Calls that wait.
    pub waiting: u64,
    /// The server's process, as its machine numbers it.
    pub pid: i32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_manager_facts {
    const LEAST: usize = 40;
}

/// Options of `carom_manager_create`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_create_options {
    /// sizeof(carom_create_options)
    pub size: usize,
    /// Not 0: the object stays until the server ends, whether anybody has a handle of it or not.
    pub persistent: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_create_options {
    const LEAST: usize = 16;
}

fn name_of(name: *const c_char) -> Result<String> {
    let name = boundary::text(name)?.filter(|name| !name.is_empty());
    name.map(String::from).ok_or(Error::invalid("a type or method has no name"))
}

fn method_of(method: &carom_method) -> Result<Method> {
    options::unused(method.reserved)?;
    let function = call::address(method.function);
    if function == 0 {
        return Err(Error::Function("the function of a method is NULL".into()));
    }
    let result = boundary::text(method.result_type)?.map(String::from);
    Ok(Method { name: name_of(method.name)?, function, result, blocking: method.blocking != 0 })
}

fn type_of(kind: &carom_type) -> Result<Type> {
    options::unused(kind.reserved)?;
    let methods = boundary::items(kind.methods, kind.method_count)?.iter().map(method_of).collect::<Result<_>>()?;
    let (create, destroy) = (call::address(kind.create), call::address(kind.destroy));
    Ok(Type { name: name_of(kind.name)?, create, destroy, methods, no_create: kind.no_create != 0 })
}

fn first_of<'a>(options: &carom_manager_options) -> Result<Option<First<'a>>> {
    let function = call::address(options.initializer);
    let arguments = call::arguments::<false>(options.initializer_arguments, options.initializer_count)?;
    match (function, arguments.is_empty()) {
        (0, true) => Ok(None),
        (0, false) => Err(Error::invalid("arguments without a function")),
        _ => Ok(Some(First { function, arguments })),
    }
}

fn read<'a>(options: *const carom_manager_options) -> Result<Options<'a>> {
    let options = options::read(options)?;
    let only_bytes = match boundary::text(options.serializer)? {
        None | Some("msgpack") => false,
        Some("bytes") => true,
        Some(_) => return Err(Error::invalid("the serializers are: msgpack, bytes")),
    };
    let key = boundary::key(options.authkey, options.authkey_len)?;
    key.map_or(Ok(()), key::check)?;
    Ok(Options {
        address: boundary::text(options.address)?.map(String::from),
        key: key.map(<[u8]>::to_vec),
        method: context::method_of(options.context)?,
        request_timeout_ms: options.request_timeout_ms,
        limit: options.max_bytes,
        types: boundary::items(options.types, options.type_count)?.iter().map(type_of).collect::<Result<_>>()?,
        first: first_of(&options)?,
        client_limit: options.max_client_bytes,
        only_bytes,
    })
}

fn manager_of(manager: *mut carom_manager) -> Result<Manager> {
    let (_, cell, generation) = object::of(manager, Kind::Manager)?;
    Ok(Manager::of(cell, generation))
}

pub(super) fn client_of(manager: *mut carom_manager) -> Result<Arc<Client>> {
    manager_of(manager)?.client()
}

/// Where a server that was started begins.
extern "C" fn serve(call: *mut carom_call) -> i32 {
    boundary::status(|| manager::run(call::running(call)?)).min(1).abs()
}

/// Starts a server and gives its manager. Options may be NULL.
///
/// Waits until the server serves; its initializer may take as long as an answer. `CAROM_ETASKFAILED` if that fails; `CAROM_EEXIST`, `CAROM_ENOENT` for types of a name that is known, or a result of one that is not; `CAROM_EFUNCTION`; `CAROM_EADDRINUSE` or another status of `carom_listener_new` if it cannot listen there; `CAROM_EBROKEN` if it ends before; `CAROM_EINVAL`, also for another
/// serializer; else as `carom_process_start`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_new(
    options: *const carom_manager_options,
    manager: *mut *mut carom_manager,
) -> carom_status {
    boundary::create(manager, || {
        let entry: extern "C" fn(*mut carom_call) -> i32 = serve;
        let made = Manager::new(&read(options)?, entry as usize)?;
        object::keep(family::current()?, Kind::Manager, made.cell())
    })
}

/// A manager of a server that runs already: of another program, on another machine. The options say its address and key.
///
/// Waits up to `timeout_ms`. Statuses as `carom_client_open`; `CAROM_EBROKEN` if no manager listens there, or one of another version.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_open(
    options: *const carom_manager_options,
    manager: *mut *mut carom_manager,
    timeout_ms: i64,
) -> carom_status {
    boundary::create(manager, || {
        let made = Manager::open(&read(options)?, timeout_ms)?;
        object::keep(family::current()?, Kind::Manager, made.cell())
    })
}

/// Serves in the calling thread, until somebody who is connected calls `carom_manager_shutdown`. The options say address and key.
///
/// Blocks. Statuses as `carom_listener_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_serve(options: *const carom_manager_options) -> carom_status {
    boundary::status(|| manager::serve(&read(options)?))
}

/// Where the server listens, as `carom_manager_open` takes it, written to `text` and ended by a zero byte. `*len`, which may be NULL, is its length without that.
///
/// Never blocks. `CAROM_EMSGSIZE` if it does not fit: `*len` is what it takes, with the zero byte.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_address(
    manager: *mut carom_manager,
    text: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    boundary::status(|| {
        let client = client_of(manager)?;
        boundary::write_text(client.reach().address.as_bytes(), text, capacity, len)
    })
}

/// What the server has at this moment.
///
/// Waits for the server. `CAROM_ECLOSED`, `CAROM_EBROKEN` if it is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_info(manager: *mut carom_manager, facts: *mut carom_manager_facts) -> carom_status {
    boundary::status(|| {
        options::check(facts)?;
        let Value::Map(pairs) = client_of(manager)?.ask(Request::Info)? else {
            return Err(Error::Broken("the server does not say what it has".into()));
        };
        let of = |name: &str| pairs.iter().find(|(key, _)| *key == Value::text(name)).map(|(_, value)| value);
        let number = |name: &str| of(name).and_then(|value| value.integer().ok()).unwrap_or(0) as u64;
        let clients = if let Some(Value::List(clients)) = of("clients") { clients.len() as u64 } else { 0 };
        let (objects, bytes, waiting) = (number("objects"), number("bytes"), number("waiting"));
        let pid = number("pid") as i32;
        options::write(facts, carom_manager_facts { size: 0, objects, bytes, clients, waiting, pid, reserved: 0 })
    })
}

/// What the server has at this moment, in words, written to `text` and ended by a zero byte: a line for each client, with its process, and each object, with who needs it. For people: it may look different one day.
///
/// Waits for the server. `CAROM_EMSGSIZE` if it does not fit: `*len` is what it takes, with the zero byte. `CAROM_ECLOSED`, `CAROM_EBROKEN` if it is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_print(
    manager: *mut carom_manager,
    text: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    boundary::status(|| match client_of(manager)?.ask(Request::Describe)? {
        Value::String(said) => boundary::write_text(&said, text, capacity, len),
        _ => Err(Error::Broken("the server does not say what it has".into())),
    })
}

/// Ends the server, and waits up to `timeout_ms` for its end, where this process started it. One that does not answer is killed. Its objects are gone; calls that wait are `CAROM_EBROKEN`.
///
/// `CAROM_ETIMEDOUT`; `CAROM_ECLOSED` or `CAROM_EBROKEN` if another process started it, and it is gone already.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_shutdown(manager: *mut carom_manager, timeout_ms: i64) -> carom_status {
    boundary::status(|| manager_of(manager)?.shutdown(lock_deadline(timeout_ms)))
}

/// Waits up to `timeout_ms` until the server has ended.
///
/// `CAROM_ETIMEDOUT`; `CAROM_EPERM` in another process than the one that started it.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_join(manager: *mut carom_manager, timeout_ms: i64) -> carom_status {
    boundary::status(|| manager_of(manager)?.process()?.join(lock_deadline(timeout_ms)))
}

/// The manager that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the manager is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_manager(
    call: *mut carom_call,
    index: usize,
    manager: *mut *mut carom_manager,
) -> carom_status {
    boundary::create(manager, || handle_argument(call, index, Kind::Manager))
}

/// Ends this handle. In the process that started the server that ends it, and its objects, without a wait; to know that it has ended, call `carom_manager_shutdown` before. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_free(manager: *mut carom_manager) {
    if let (Ok(family), Ok(manager)) = (family::current(), manager_of(manager)) {
        manager.end(family);
    }
    free(manager, Kind::Manager);
    family::current().into_iter().for_each(Client::tidy);
}

/// Makes an object of a type, by name: "set", "Namespace", or one of the program's own. Options may be NULL.
///
/// Arguments: a Namespace nothing or a map, a set nothing or a list.
///
/// The object's methods are called with `carom_proxy_call`. Waits for the server. `CAROM_EINVAL` for other arguments, or a type that has a constructor of its own (dict, list, locks …); `CAROM_ENOENT` for an unknown type; `CAROM_ENOMEM`;
/// `CAROM_ECLOSED`, `CAROM_EBROKEN`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_create(
    manager: *mut carom_manager,
    type_name: *const c_char,
    arguments: *const carom_argument,
    count: usize,
    options: *const carom_create_options,
    proxy: *mut *mut carom_proxy,
) -> carom_status {
    boundary::create(proxy, || {
        let options = options::read(options)?;
        options::unused(options.reserved)?;
        let client = client_of(manager)?;
        let name = boundary::text(type_name)?.ok_or(Error::invalid("the name of the type is NULL"))?;
        let own = |(known, kind): &(&str, u8)| *known == name && kind_of_managed(*kind) != Kind::Proxy;
        if manager::kind::NAMES.iter().any(own) {
            return Err(Error::invalid("objects of this type are made by a function of their own"));
        }
        make(&client, name, values_of(&client, arguments, count)?, options.persistent != 0)
    })
}

pub(super) fn make<T>(client: &Arc<Client>, name: &str, arguments: Vec<Value>, persistent: bool) -> Result<*mut T> {
    let (cell, generation, kind) = client.create(family::current()?, name, arguments, persistent)?;
    handle_of((cell, generation), kind)
}

fn create<T>(manager: *mut carom_manager, name: &str, arguments: Vec<Value>, out: *mut *mut T) -> carom_status {
    boundary::create(out, || make(&client_of(manager)?, name, arguments, false))
}

/// The dict that every manager has, also one that was opened: where programs find each other's objects, by whatever names they agree on. What is in it stays until it is taken out. Statuses of this and those below as `carom_manager_create`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_directory(manager: *mut carom_manager, dict: *mut *mut carom_dict) -> carom_status {
    create(manager, manager::DIRECTORY, Vec::new(), dict)
}

/// Makes a queue, empty; options may be NULL. Messages of `carom_queue_put` and `carom_queue_get` are bytes; `carom_proxy_call` puts and gets values of any kind. `carom_queue_task_done` and `carom_queue_join` work with every one.
///
/// Others do not end it: `carom_queue_close` concerns this process's handle only, a get says `CAROM_ECLOSED` after `carom_queue_shutdown`. What somebody got who died before he received it goes to the next.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_queue(
    manager: *mut carom_manager,
    options: *const carom_queue_options,
    queue: *mut *mut carom_queue,
) -> carom_status {
    boundary::create(queue, || {
        let options = options::read(options)?;
        let limit = |most: u64| Value::Integer(most.min(i64::MAX as u64) as i64);
        let arguments = vec![limit(options.max_items), limit(options.max_bytes)];
        make(&client_of(manager)?, "Queue", arguments, false)
    })
}

/// A type as a server knows it, and the length of an item.
fn type_code(type_: u32, item_size: usize) -> Result<(Value, usize)> {
    let size = length(type_, item_size)?;
    let code = match type_ {
        CAROM_RAW => format!("{size}s"),
        letter => char::from_u32(letter).map(String::from).unwrap_or_default(),
    };
    Ok((Value::text(&code), size))
}

/// Makes a value of a type, for `carom_value_get`, `carom_value_set`, `carom_value_add` and the others that need no pointer: what these do is one step, so it has no lock. `initial` may be NULL for zero; `len` is the type's size or 0, of `CAROM_RAW` (a struct) how many bytes
/// it has. `carom_proxy_call` shows a `CAROM_U64` from 2^63 on as the negative integer of the same 64 bits, and takes it so; raw bytes are bytes there.
///
/// `CAROM_ENOTSUP` from functions for locks and pointers; `CAROM_EINVAL` for an unknown type; `CAROM_EMSGSIZE` if `len` is not the type's size.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_value(
    manager: *mut carom_manager,
    type_: u32,
    initial: *const c_void,
    len: usize,
    value: *mut *mut carom_value,
) -> carom_status {
    boundary::create(value, || {
        let (code, len) = type_code(type_, len)?;
        let mut arguments = vec![code];
        if !initial.is_null() {
            arguments.push(Value::Bytes(boundary::bytes(initial, len)?.to_vec()));
        }
        make(&client_of(manager)?, "Value", arguments, false)
    })
}

/// Makes an array of `count` items of a type, or of `item_size` raw bytes each (for a type its size, or 0), for `carom_array_get` and `carom_array_set`; `initial`, of `count` items, may be NULL
/// for zeros. As `carom_manager_value`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_array(
    manager: *mut carom_manager,
    type_: u32,
    item_size: usize,
    count: usize,
    initial: *const c_void,
    array: *mut *mut carom_array,
) -> carom_status {
    boundary::create(array, || {
        let (letter, size) = type_code(type_, item_size)?;
        let len = size.checked_mul(count).ok_or(Error::NoMemory("an array larger than a message"))?;
        let items = match initial.is_null() {
            true => Value::Integer(count.min(i64::MAX as usize) as i64),
            false => Value::Bytes(boundary::bytes(initial, len)?.to_vec()),
        };
        make(&client_of(manager)?, "Array", vec![letter, items], false)
    })
}

/// Makes a lock, held by nobody. It belongs to the process that acquires it; see `carom_lock_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_lock(manager: *mut carom_manager, lock: *mut *mut carom_lock) -> carom_status {
    create(manager, "Lock", Vec::new(), lock)
}

/// Makes a recursive lock; see `carom_rlock_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_rlock(manager: *mut carom_manager, lock: *mut *mut carom_lock) -> carom_status {
    create(manager, "RLock", Vec::new(), lock)
}

/// Makes a semaphore with `value` units, 0 or more; see `carom_semaphore_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_semaphore(
    manager: *mut carom_manager,
    value: i64,
    semaphore: *mut *mut carom_semaphore,
) -> carom_status {
    create(manager, "Semaphore", vec![Value::Integer(value)], semaphore)
}

/// Makes a semaphore that never has more than `value` units; see `carom_bounded_semaphore_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_bounded_semaphore(
    manager: *mut carom_manager,
    value: i64,
    semaphore: *mut *mut carom_semaphore,
) -> carom_status {
    create(manager, "BoundedSemaphore", vec![Value::Integer(value)], semaphore)
}

/// Makes a condition over a lock of the same manager; NULL: over a recursive lock of its own. See `carom_condition_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_condition(
    manager: *mut carom_manager,
    lock: *mut carom_lock,
    condition: *mut *mut carom_condition,
) -> carom_status {
    boundary::create(condition, || {
        let client = client_of(manager)?;
        let own: *mut carom_lock = match lock.is_null() {
            true => make(&client, "RLock", Vec::new(), false)?,
            false => lock,
        };
        let made = handle::named(own, Kind::Lock).and_then(|_| {
            let argument = passing::reference(own.cast())?.to_bits();
            let argument = to_value(client.manager(), &crate::wire::Argument::Handle(argument))?;
            make(&client, "Condition", vec![argument], false)
        });
        if lock.is_null() {
            free(own, Kind::Lock);
        }
        made
    })
}

/// Makes an event, not set; see `carom_event_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_event(manager: *mut carom_manager, event: *mut *mut carom_event) -> carom_status {
    create(manager, "Event", Vec::new(), event)
}

/// Makes a barrier for so many parties; see `carom_barrier_new`. Options may be NULL. The action runs in the server, on its loop, without arguments; who comes last gets `CAROM_ETASKFAILED` if it fails.
///
/// `CAROM_ENOTSUP` for a time-out: each wait has its own.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_barrier(
    manager: *mut carom_manager,
    parties: i64,
    options: *const carom_barrier_options,
    barrier: *mut *mut carom_barrier,
) -> carom_status {
    boundary::create(barrier, || {
        let options = options::read(options)?;
        if options.timeout_ms != 0 {
            return Err(Error::Unsupported("a barrier of a manager has no time-out of its own"));
        }
        let action = custom::identity_of(call::address(options.action))?;
        make(&client_of(manager)?, "Barrier", vec![Value::Integer(parties), action], false)
    })
}
