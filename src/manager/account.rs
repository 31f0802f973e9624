//! What a server says about itself.
#![forbid(unsafe_code)]

use super::server::{FIRST, Server};
use super::value::{self, Value};
use crate::sys::fork;

impl Server {
    /// What there is, in words: a line for each client and each object.
    pub(super) fn describe(&self) -> String {
        let mut lines = vec![format!("{} of {} bytes", value::bytes(), self.terms.limit)];
        for (number, session) in &self.sessions {
            let (pid, connections, lanes) = (session.pid, session.connections, session.lanes);
            let (references, bytes) = (session.references.len(), value::bytes_of(*number));
            lines.push(format!(
                "client {number}: process {pid}, {connections} connections, {lanes} with lanes, {references} references, {bytes} bytes"
            ));
        }
        let mut objects: Vec<_> = self.entries.iter().collect();
        objects.sort_unstable_by_key(|(number, _)| **number);
        for (number, entry) in objects {
            let kind = self.name_of(entry.kind);
            let (cells, references, waiting) = (entry.cells.len(), entry.references, entry.waiters.len());
            let named = if value::is_named(*number) { ", in another object" } else { "" };
            let stays = if entry.persistent { ", stays" } else { "" };
            lines.push(format!(
                "object {number}: {kind}, {cells} handles of the family, {references} of others, {waiting} calls wait{named}{stays}"
            ));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    pub(super) fn info(&self) -> Value {
        let text = |text: &str, value: i64| (Value::text(text), Value::Integer(value));
        let clients = self.sessions.values().map(|session| Value::Integer(session.pid)).collect();
        Value::Map(vec![
            text("objects", self.entries.len() as i64 - FIRST as i64),
            text("bytes", value::bytes() as i64),
            text("connections", self.reception.count() as i64),
            text("pid", fork::pid() as i64),
            text("waiting", self.places.len() as i64),
            (Value::text("clients"), Value::List(clients)),
        ])
    }
}
