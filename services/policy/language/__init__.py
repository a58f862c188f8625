"""The language of `when`: a small, typed part of CEL, read by a reader of our own before the library sees a word.

What is left out is left out on purpose: comprehensions (their cost is the list's length, and nothing can interrupt
them), functions, maps, strings that are put together, patterns that are compiled again for each call. Whatever the
reader accepts has a bounded length, depth, size and cost; whatever it refuses it refuses with a line, a column and
what to write instead. `read.py` is the door: text in, typed tree out.
"""
