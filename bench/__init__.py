"""The benchmark: Throughline beside its floor, in one run.

The floor (`bench/floor`) is what the same call costs with bare grpc.aio and bare aiokafka: the same processes, hops,
messages, appends, callers and far end, and nothing else: no decision, no metric, no log, no time-out, no second path.
What Throughline costs above it is the price of its promises, and this is where that price is measured. Beside both
stands what was not built: the same stages as a chain of Kafka consumer groups (`bench/chain`).

Callers and far end are one program for both sides, and import nothing of the services. `python -m bench --help`.
"""
