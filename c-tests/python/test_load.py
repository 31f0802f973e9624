"""ctypes, without a header."""

import ctypes
import os
import re

library = ctypes.CDLL(os.environ["CAROM_LIBRARY"])
library.carom_version.restype = ctypes.c_char_p
library.carom_status_name.restype = ctypes.c_char_p

assert re.fullmatch(rb"\d+\.\d+\.\d+", library.carom_version())
assert library.carom_status_name(0)
