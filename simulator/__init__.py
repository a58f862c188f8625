"""The simulator: the real services in one process under virtual time, hurt in every way that a seed can think of.

Nothing of a service is replaced but its ports (services/host/world.py): the network between processes, Kafka, disks,
clocks, and processes themselves, which can be paused and killed. The world outside is the load test's own. After each
schedule of faults checkers look at what callers, the far end and the journal say. One seed is one story.
"""
