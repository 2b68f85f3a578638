"""Zip archives from elsewhere: providers and tools come in them."""

from __future__ import annotations

import zipfile
import zlib

# what zipfile raises for an archive that is broken, encrypted, or compressed in an unknown way
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
