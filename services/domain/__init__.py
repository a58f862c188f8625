"""The core: pure decisions. No await, no clock, no randomness, no I/O; `now` is an argument.

Here stands what all share: facts and their fold, the books, places, verdicts. What one process decides has a room of
its own: `calls`, `gateways`, `hunting`, `take_overs`.
"""
