//! The short way through a server: to get or set by a scalar, in a dict, a scalar. Most requests to a cache are that.
//!
//! It is taken only where nothing can fail, wait, or name another object. All else has not begun here, and goes the long way, which says what
//! is wrong. Nothing of the request becomes a value but what is stored, and the reply is written from where it is.
#![forbid(unsafe_code)]

use super::dict::Dict;
use super::object::Object;
use super::protocol::{Call, Reply};
use super::server::Server;
use super::value::{self, Scalar, Value};

/// Weight of the heaviest key that goes this way: a dict keeps memory for one more.
const HEAVIEST_KEY: usize = 256;

impl Server {
    /// Carries a request out, if it can go the short way; false: nothing has happened.
    pub(super) fn serve_quickly(&mut self, key: u64, message: &[u8]) -> bool {
        let mut given = [Scalar::Nil; 2];
        let Some((call, count)) = Call::of_scalars(message, &mut given) else { return false };
        let Some(client) = self.reception.client(key) else { return false };
        let (Some(session), None) = (client.session, client.waits) else { return false };
        let Some(entry) = self.entries.get_mut(&call.object).filter(|entry| entry.waiters.is_empty()) else {
            return false;
        };
        let Some(Object::Dict(dict)) = &mut entry.object else { return false };
        if call.timeout_ms != 0 || given[0].weight() > HEAVIEST_KEY {
            return false;
        }
        // Whoever goes on has received what he asked for before.
        client.lent = None;
        value::charge(session);
        let only_bytes = self.terms.only_bytes;
        let Some(result) = carry_out(dict, &call, &given[..count], only_bytes) else { return false };
        let mut reply = self.reception.lend_reply();
        Reply::pack_scalar(result, &mut reply);
        self.reception.answer(key, reply);
        true
    }
}

fn carry_out<'a>(dict: &'a mut Dict, call: &Call<'_>, given: &[Scalar<'_>], only_bytes: bool) -> Option<Scalar<'a>> {
    match (call.method, given) {
        ("get", [key]) => {
            let found = dict.get_scalar(*key).and_then(Value::scalar)?;
            let fits = usize::try_from(call.room).map_or(true, |room| found.room() <= room);
            fits.then_some(found)
        }
        ("set", [key, new]) if !only_bytes => dict.set_scalar(*key, *new).then_some(Scalar::Nil),
        _ => None,
    }
}
