"""The world outside, and what makes load: callers, their networks, PSAPs, trunks, and the demonstration.

Callers (originating.py), the far end (far_end.py) and the comparer (witness.py) import nothing of `services`: they are
witnesses to it.
"""
