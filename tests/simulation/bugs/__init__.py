"""Known mistakes, to see whether the simulator finds them: each is wrong in the way in which a careless engineer is.

Here, and nowhere else in this project, a part of our own is patched: that is the point. A mistake is a function that
stands in the place of a real one for the time of a run. Its docstring says what is wrong, which rule it breaks and what
a caller would suffer. One that the simulator cannot find is a hole in the simulator or in its checkers.

    python -m tests.simulation.bugs [NAME ...] [--within 1000]
"""
