"""cffi reads the header between its marks unchanged, and everything declared there is in the library."""

import os
import re

import cffi

with open(os.environ["CAROM_HEADER"]) as file:
    header = file.read()
declarations = header.split("/* cdef: begin */")[1].split("/* cdef: end */")[0]

ffi = cffi.FFI()
ffi.cdef(declarations)
library = ffi.dlopen(os.environ["CAROM_LIBRARY"])

names = [name for name in re.findall(r"\b(carom_\w+)\(", re.sub(r"/\*.*?\*/", "", declarations, flags=re.S))]
assert "carom_version" in names
for name in names:
    getattr(library, name)

version = re.search(r'#define CAROM_VERSION "(.*)"', header)[1]
assert ffi.string(library.carom_version()).decode() == version
for name, value in re.findall(r"^#define (CAROM_\w+) (-?\w+)", declarations, flags=re.M):
    assert getattr(library, name) == int(value, 0), name
