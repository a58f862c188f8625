"""services/wire/methods.py against the protos: every method of every service, with its own messages, and no other."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import MethodDescriptor
from throughline.v1 import call_pb2, delivery_pb2, holding_pb2, policy_pb2, routing_pb2, screening_pb2, trunk_pb2

from services.wire import methods
from services.wire.methods import Conversation, Question

FILES = (call_pb2, delivery_pb2, holding_pb2, policy_pb2, routing_pb2, screening_pb2, trunk_pb2)
DECLARED = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
NAMED = {each.path: each for each in vars(methods).values() if isinstance(each, Question | Conversation)}


def test_every_declared_method_has_a_name_and_no_name_is_undeclared() -> None:
    """A method that only one side knows is a call that nobody answers."""
    assert set(NAMED) == set(DECLARED)


@pytest.mark.parametrize("path", DECLARED)
def test_a_method_carries_the_messages_that_its_proto_says(path: str) -> None:
    """The stubs are not generated: this is what holds the two together."""
    declared: MethodDescriptor = DECLARED[path]
    named = NAMED[path]
    if isinstance(named, Question):
        up, down, streaming = named.asks, named.answers, False
    else:
        up, down, streaming = named.up, named.down, True
    assert (declared.input_type, declared.output_type) == (up.DESCRIPTOR, down.DESCRIPTOR)
    assert (declared.client_streaming, declared.server_streaming) == (streaming, streaming)
