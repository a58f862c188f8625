"""Protobuf to domain and back, and the methods by name; nothing else.

Everything here is pure. A message that cannot be read raises `Unreadable` with the bytes, so that whoever received it
can keep them (protocol.md P6).
"""
