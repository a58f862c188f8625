"""A helper for the contract: answers, hangs with the interpreter held, ends, or takes memory, as it is asked."""

from __future__ import annotations

import os
import re
import time

from services.host.children import Program, serve


class Helper:
    """Says what it was asked, and how often it was asked before."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, asked: bytes) -> bytes:
        if asked == b"burn":
            re.fullmatch("(a+)+b", "a" * 60)  # holds the interpreter for longer than anybody lives
        if asked == b"die":
            raise SystemExit(3)
        if asked == b"fail":
            raise ZeroDivisionError
        if asked == b"print":
            print("a word on stdout")
        if asked == b"nap" and __name__ == "__main__":
            time.sleep(0.5)
        if asked == b"pid":
            return str(os.getpid()).encode()
        if asked == b"hog":
            return bytes(8 * 1024**3)[:1]
        self.asked += 1
        return b"%d %s" % (self.asked, asked)


PROGRAM = Program("tests.contract.a_child", Helper)

if __name__ == "__main__":
    serve(Helper())
