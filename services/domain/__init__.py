"""The core: pure decisions. No await, no clock, no randomness, no I/O; `now` is an argument."""
