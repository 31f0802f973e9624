//! The header and the version script are generated from `src/ffi`; this test says when they are stale.
//! `make header` runs it with `CAROM_WRITE_HEADER=1`, which writes them.
//!
//! cbindgen turns each Rust item into C. Here the items are put into the order in which the sources have
//! them (cbindgen's own order is constants, types, functions), the sources into the order of the `pub mod` lines of
//! `src/ffi/mod.rs`, and each source gets a heading: the first paragraph of its `//!` comment.

use carom::error::STATUSES;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const WIDTH: usize = 120;

#[test]
fn header_and_version_script_are_current() {
    let header = header();
    let map = version_script(&header);
    for (path, wanted) in [("include/carom.h", header), ("include/carom.map", map)] {
        let path = root().join(path);
        if std::env::var_os("CAROM_WRITE_HEADER").is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        if found != wanted {
            let line = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
            panic!(
                "{} is not what src/ffi says, from line {} on:\n  is     {}\n  should {}\nTo mend it: make header",
                path.display(),
                line + 1,
                found.lines().nth(line).unwrap_or("(end)"),
                wanted.lines().nth(line).unwrap_or("(end)")
            );
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One file of `src/ffi`: a section of the header.
struct Section {
    path: PathBuf,
    heading: Vec<String>,
    text: String,
}

/// The sections, in the order of the `pub mod` lines of `src/ffi/mod.rs`.
fn sections() -> Vec<Section> {
    let directory = root().join("src/ffi");
    let list = fs::read_to_string(directory.join("mod.rs")).unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names
        .map(|name| {
            let path = directory.join(format!("{name}.rs"));
            let text = fs::read_to_string(&path).unwrap();
            let heading =
                text.lines().map_while(|line| line.strip_prefix("//! ")).map(|line| line.trim_end().into()).collect();
            Section { path, heading, text }
        })
        .collect()
}

/// One item as cbindgen wrote it, with its comment.
struct Item {
    name: String,
    text: String,
    /// Section and offset in its source: what the items are sorted by.
    place: (usize, usize),
}

impl Item {
    /// Opaque types stand before everything else, so that every section may mention every noun.
    fn is_opaque(&self) -> bool {
        self.text.ends_with(&format!("typedef struct {0} {0};", self.name))
    }
}

fn items(sections: &[Section]) -> Vec<Item> {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for section in sections {
        builder = builder.with_src(&section.path);
    }
    let mut c = Vec::new();
    builder.generate().expect("cbindgen cannot read src/ffi").write(&mut c);
    let c = String::from_utf8(c).unwrap();

    let mut items: Vec<Item> = c
        .split("\n\n")
        .map(|text| text.trim_matches('\n'))
        .filter(|text| !text.is_empty())
        .map(|text| {
            let name = name_of(text).unwrap_or_else(|| panic!("no name found in what cbindgen wrote:\n{text}"));
            let place = sections.iter().enumerate().find_map(|(i, s)| Some((i, definition(&s.text, &name)?)));
            let place = place.unwrap_or_else(|| panic!("{name} is in the header but not defined in src/ffi"));
            assert!(
                name.to_lowercase().starts_with("carom_"),
                "{name} would be in the header: name it carom_… or make it pub(crate)"
            );
            check_literal(&name, text);
            Item { text: tidy(text, &name), name, place }
        })
        .collect();
    items.sort_by_key(|item| item.place);
    items
}

/// The name that an item defines.
fn name_of(item: &str) -> Option<String> {
    let code = strip_comments(item);
    let code = code.trim();
    let identifier = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if let Some(rest) = code.strip_prefix("#define ") {
        Some(identifier(rest))
    } else if code.starts_with("typedef") {
        match code.split_once("(*") {
            Some((_, rest)) if !code.contains('{') => Some(identifier(rest)), // a function type
            _ => Some(identifier(code.trim_end_matches(';').rsplit([' ', '}']).next()?)),
        }
    } else {
        let before = code.split_once('(')?.0;
        Some(identifier(before.rsplit([' ', '*']).next()?))
    }
    .filter(|name| !name.is_empty())
}

/// Where in a source the item of this name is defined: behind its keyword, on a line that begins with `pub`.
fn definition(source: &str, name: &str) -> Option<usize> {
    ["fn", "struct", "type", "const"].iter().find_map(|keyword| {
        let needle = format!(" {keyword} {name}");
        source.match_indices(&needle).map(|(at, _)| at).find(|at| {
            let line = source[..*at].rfind('\n').map_or(0, |newline| newline + 1);
            let after = source[at + needle.len()..].chars().next();
            source[line..].starts_with("pub ") && after.is_some_and(|c| !c.is_alphanumeric() && c != '_')
        })
    })
}

/// cffi reads `#define NAME literal` and no expression.
fn check_literal(name: &str, item: &str) {
    if let Some(value) = strip_comments(item).trim().strip_prefix(&format!("#define {name} ")) {
        let digits = value.trim_start_matches('-');
        let literal = match digits.strip_prefix("0x") {
            Some(hex) => hex.chars().all(|c| c.is_ascii_hexdigit()),
            None => digits.chars().all(|c| c.is_ascii_digit()),
        };
        assert!(literal, "{name} is {value}: only a literal number may stand in the header");
    }
}

/// An item as we want to read it.
fn tidy(item: &str, name: &str) -> String {
    // cbindgen writes `struct carom_x` where the typedef that stands before it suffices.
    let item = item.replace("struct carom_", "carom_").replace("typedef carom_", "typedef struct carom_");
    let mut lines: Vec<String> = paragraphs(&item).iter().flat_map(|line| wrap(line)).collect();
    // One line of comment instead of three where there is room.
    let mut at = 0;
    while at + 2 < lines.len() {
        let (open, text, close) = (&lines[at], lines[at + 1].trim(), lines[at + 2].trim());
        let joined = format!("{open} {} */", text.trim_start_matches('*').trim());
        if open.trim() == "/**" && close == "*/" && joined.chars().count() <= WIDTH {
            lines.splice(at..at + 3, [joined]);
        }
        at += 1;
    }
    // A constant's comment stands behind it.
    if let [comment, define] = &lines[..] {
        let joined = format!("{define:<39} {}", comment.replace("/**", "/*"));
        if define.starts_with(&format!("#define {name} ")) && joined.chars().count() <= WIDTH {
            lines = vec![joined];
        }
    }
    lines.join("\n")
}

/// The lines of an item, those of a comment's paragraph joined into one. What Markdown would not join stays.
fn paragraphs(item: &str) -> Vec<String> {
    let text = |line: &str| line.trim_start().strip_prefix("* ").map(str::to_string);
    let mut out: Vec<String> = Vec::new();
    for line in item.lines() {
        match (out.last_mut(), text(line)) {
            (Some(last), Some(more))
                if text(last).is_some_and(|t| !t.starts_with([' ', '|'])) && !more.starts_with([' ', '|', '-']) =>
            {
                *last += " ";
                *last += &more;
            }
            _ => out.push(line.trim_end().to_string()),
        }
    }
    out
}

/// Breaks a line that is too long: a comment between words, a prototype after a comma.
fn wrap(line: &str) -> Vec<String> {
    let line = line.trim_end();
    let indent = line.len() - line.trim_start().len();
    let (separator, prefix) = if line.trim_start().starts_with('*') {
        (" ", format!("{}* {}", " ".repeat(indent), if line.trim_start().starts_with("* - ") { "  " } else { "" }))
    } else {
        (", ", " ".repeat(line.find('(').map_or(indent + 4, |at| at + 1)))
    };
    let (mut out, mut rest) = (Vec::new(), line.to_string());
    while rest.chars().count() > WIDTH {
        let room = rest.char_indices().nth(WIDTH + 1).map_or(rest.len(), |(at, _)| at);
        let Some(at) = rest[..room].rfind(separator).filter(|at| *at > prefix.len()) else { break };
        out.push(rest[..at + separator.len()].trim_end().to_string());
        rest = format!("{prefix}{}", &rest[at + separator.len()..]);
    }
    out.push(rest);
    out
}

fn strip_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((code, comment)) = rest.split_once("/*") {
        out += code;
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    out + rest
}

/// The template with everything filled in.
fn header() -> String {
    let sections = sections();
    let items = items(&sections);
    let mut body = String::new();

    for (name, number, meaning) in STATUSES {
        let (name, meaning) = (name.to_str().unwrap(), meaning.to_str().unwrap());
        let define = format!("#define {name} {number}");
        writeln!(body, "{define:<39} /* {meaning} */").unwrap();
    }
    for item in items.iter().filter(|item| item.is_opaque()) {
        writeln!(body, "\n{}", item.text).unwrap();
    }
    for (index, section) in sections.iter().enumerate() {
        let mut previous: Option<&Item> = None;
        for item in items.iter().filter(|item| item.place.0 == index && !item.is_opaque()) {
            if previous.is_none() {
                assert!(!section.heading.is_empty(), "{} has no //! comment for a heading", section.path.display());
                writeln!(body, "\n/* {}\n * {}\n */", "-".repeat(WIDTH - 3), section.heading.join("\n * ")).unwrap();
            }
            // Constants in a row are one table; everything else stands free.
            let table = |i: &Item| i.text.contains("#define");
            if !previous.is_some_and(|p| table(p) && table(item)) {
                body.push('\n');
            }
            writeln!(body, "{}", item.text).unwrap();
            previous = Some(item);
        }
    }

    let template = fs::read_to_string(root().join("include/carom.h.in")).unwrap();
    template
        .replace("@BODY@\n", body.as_str())
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@VERSION_MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@VERSION_MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@VERSION_PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
}

/// What the shared library exports: every function that the header declares, and nothing else.
fn version_script(header: &str) -> String {
    let code = strip_comments(header);
    let names: BTreeSet<String> = code
        .split(';')
        .filter(|statement| !statement.contains("typedef") && !statement.contains('#'))
        .filter_map(|statement| name_of(statement).filter(|name| statement.contains(&format!("{name}("))))
        .collect();
    let mut map =
        format!("CAROM_{}.{} {{\n  global:\n", env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    for name in names {
        writeln!(map, "    {name};").unwrap();
    }
    map + "  local:\n    *;\n};\n"
}

#[test]
fn every_source_of_the_c_face_is_a_section() {
    let listed: BTreeSet<PathBuf> = sections().into_iter().map(|section| section.path).collect();
    for entry in fs::read_dir(root().join("src/ffi")).unwrap() {
        let path = entry.unwrap().path();
        let exports = fs::read_to_string(&path).unwrap().contains("no_mangle");
        assert!(!exports || is_mod(&path) || listed.contains(&path), "{} is no `pub mod` of src/ffi", path.display());
    }
}

fn is_mod(path: &Path) -> bool {
    path.ends_with("mod.rs")
}
