"""The policy desk: commands that lead a policy from an idea to live, and back.

What can be known without an installation is done here, by the same pure code that screens (`services/policy`): check,
replay, sign. What changes or asks a running one is said to a firewall over gRPC: submit, shadow, canary, promote,
revert, bypass, status, history, explain. A candidate is a stranger's file until it is checked, so that is done in a
child process with limits.
"""
