"""carom by cffi, which has structs and constants from the header."""

import os

import cffi

with open(os.environ["CAROM_HEADER"]) as file:
    declarations = file.read().split("/* cdef: begin */")[1].split("/* cdef: end */")[0]
ffi = cffi.FFI()
ffi.cdef(declarations)
carom = ffi.dlopen(os.environ["CAROM_LIBRARY"])
PATIENCE = 20000


def check(status, wanted=0):
    assert status == wanted, (
        ffi.string(carom.carom_status_name(status)),
        ffi.string(carom.carom_error_message()),
        wanted,
    )


def sized(kind, **fields):
    return ffi.new(f"{kind} *", {"size": ffi.sizeof(kind), **fields})


def made(kind, function, *arguments):
    out = ffi.new(f"{kind} **")
    check(function(*arguments, out))
    return out[0]
