"""Files that an operator names, opened for reading: plain ones alone, and never a wait.

A named pipe into which nobody writes, and a terminal, would be waited for; a device may never end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def opened(path: Path) -> BinaryIO:
    """The file's bytes, from their beginning; raises OSError, whose `strerror` says what it is instead of a file."""
    _is_plain(path, path.stat().st_mode)  # first: to open a device may do something
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")  # a pipe may have taken its place meanwhile
    try:
        _is_plain(path, os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def _is_plain(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((word for is_one, word in _KINDS if is_one(mode)), "no file")
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))
