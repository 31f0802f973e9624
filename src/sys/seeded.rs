//! Bugs that the tests put in, to see that they catch them. What ships has none, and no way to get one: the library must be
//! built with `--cfg carom_seeded`, and asks the environment then (`CAROM_SEEDED`, a name). See `c-tests/seeded.sh`.

/// Whether this bug is in.
#[cfg(not(carom_seeded))]
#[inline(always)]
pub const fn bug(_name: &str) -> bool {
    false
}

/// Whether this bug is in.
#[cfg(carom_seeded)]
pub fn bug(name: &str) -> bool {
    std::env::var_os("CAROM_SEEDED").is_some_and(|seeded| seeded == name)
}
