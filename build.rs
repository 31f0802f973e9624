//! Gives the cdylib that cargo builds its SONAME. The installed library is relinked from the static
//! one (see `cmake/relink.sh`), because a version script does not work on a Rust cdylib.

fn main() {
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcarom.so.{major}");
    println!("cargo::rerun-if-changed=build.rs");
}
