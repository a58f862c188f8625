"""The floor: the same call through bare grpc.aio and bare aiokafka, in four processes.

Each process does what the service of its name must at least do to carry a call: it speaks the same messages of
`throughline.v1` over the same hops and publishes as many records of the same kinds and sizes, of which only a call's
first is awaited. It decides nothing, checks nothing, counts nothing, logs nothing, and has no answer to any failure.
"""
