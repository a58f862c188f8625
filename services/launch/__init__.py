"""Runs a whole installation on this machine: each service a process of its own, as an operator would run it.

`throughline up`, the demonstration and the system tests start it here. Ports are free ones: each child says where it
listens, and those who need it are started after it, so two copies can run side by side. Nothing outlives the parent
(services/host/lifeline.py).
"""
