//! Addresses as users write them.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::sys::socket::{self, Address};
use std::ffi::CString;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `/a/path`, `@abstract`, `127.0.0.1:80`, `[::1]:80`, `localhost:80`.
pub fn parse(text: &str) -> Result<Address> {
    if let Some(name) = text.strip_prefix('@') {
        return match name {
            "" => Err(Error::invalid("an abstract address has a name behind its @")),
            name => Ok(Address::Abstract(name.into())),
        };
    }
    if text.contains('/') {
        return Ok(Address::Path(text.into()));
    }
    if let Some(Ok(port)) = text.strip_prefix("localhost:").map(str::parse) {
        return Ok(Address::Internet(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
    }
    let address = text.parse().map(Address::Internet);
    address.map_err(|_| Error::invalid("an address is /a/path, @name, 127.0.0.1:80, [::1]:80 or localhost:80"))
}

/// An abstract address that nobody else has.
pub fn made_up() -> Result<Address> {
    let mut name = String::from("carom-");
    for byte in socket::random::<16>()? {
        let _ = write!(name, "{byte:02x}");
    }
    Ok(Address::Abstract(name.into()))
}

/// The address as [`parse`] takes it.
pub fn print(address: &Address) -> CString {
    let text = match address {
        Address::Path(path) => path.clone(),
        Address::Abstract(name) => [b"@", &name[..]].concat(),
        Address::Internet(address) => address.to_string().into(),
    };
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_there_and_back() {
        for text in ["/tmp/x", "./x", "@name", "127.0.0.1:80", "[::1]:65535", "0.0.0.0:0"] {
            assert_eq!(print(&parse(text).unwrap()).to_str().unwrap(), text);
        }
        assert_eq!(parse("localhost:7").unwrap(), parse("127.0.0.1:7").unwrap());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "@", "x", "localhost", "localhost:", "localhost:70000", "127.0.0.1", "1.2.3:4", "::1:80", "[::1]"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
