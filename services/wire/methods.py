"""Every method of the wire by name, with the messages that it carries.

A `Question` has one message each way and a deadline; a `Conversation` is a stream both ways. Services hand these to the
network port (services/host/network), so that neither side names gRPC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from google.protobuf.message import DecodeError, Message
from throughline.v1 import call_pb2, delivery_pb2, holding_pb2, policy_pb2, routing_pb2, screening_pb2, trunk_pb2

PARSE_BYTES_MAX: Final = 64 * 1024
TRANSPORT_BYTES_MAX: Final = 16 * 1024 * 1024

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)
M = TypeVar("M", bound=Message)


class Unreadable(Exception):
    """Bytes that are no message of the kind expected; `raw` holds them whole."""

    def __init__(self, why: str, raw: bytes) -> None:
        super().__init__(why)
        self.why = why
        self.raw = raw


@dataclass(frozen=True, slots=True, eq=False)
class Question(Generic[Out, In]):
    """A unary method: `asks` goes up, `answers` comes down; `bytes_max` bounds what is parsed of the question."""

    path: str
    asks: type[Out]
    answers: type[In]
    bytes_max: int = PARSE_BYTES_MAX


@dataclass(frozen=True, slots=True, eq=False)
class Conversation(Generic[Out, In]):
    """A bidirectional stream: `up` from the one who opens it, `down` from the one who serves it."""

    path: str
    up: type[Out]
    down: type[In]


def parse(kind: type[M], raw: bytes, bytes_max: int = PARSE_BYTES_MAX) -> M:
    """Reads a message; raises Unreadable past `bytes_max` (P6) or where the bytes are no such message."""
    if len(raw) > bytes_max:
        raise Unreadable(f"{len(raw)} bytes, more than the parse limit of {bytes_max}", raw)
    message = kind()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise Unreadable(f"not a {kind.DESCRIPTOR.name}: {error}", raw) from error
    return message


PLACE_CALL: Final = Conversation(
    "/throughline.v1.IngressService/PlaceCall", call_pb2.PlaceCallRequest, call_pb2.PlaceCallResponse
)
INGRESS_STATUS: Final = Question(
    "/throughline.v1.IngressService/Status", call_pb2.StatusRequest, call_pb2.StatusResponse
)
WATCH: Final = Conversation("/throughline.v1.IngressService/Watch", call_pb2.WatchRequest, call_pb2.WatchResponse)
SCREEN: Final = Question(
    "/throughline.v1.FirewallService/Screen", screening_pb2.ScreenRequest, screening_pb2.ScreenResponse
)
ROUTE: Final = Question("/throughline.v1.RouterService/Route", routing_pb2.RouteRequest, routing_pb2.RouteResponse)
DELIVER: Final = Conversation(
    "/throughline.v1.GatewayService/Deliver", delivery_pb2.DeliverRequest, delivery_pb2.DeliverResponse
)
ATTACH: Final = Conversation(
    "/throughline.v1.GatewayService/Attach", delivery_pb2.AttachRequest, delivery_pb2.AttachResponse
)
DIVERT: Final = Conversation(
    "/throughline.v1.FailoverService/Divert", delivery_pb2.DivertRequest, delivery_pb2.DivertResponse
)
DIAL: Final = Conversation("/throughline.v1.TrunkService/Dial", trunk_pb2.DialRequest, trunk_pb2.DialResponse)
KEEP: Final = Question("/throughline.v1.FailoverService/Keep", delivery_pb2.KeepRequest, delivery_pb2.KeepResponse)
WHO_HAS: Final = Question(
    "/throughline.v1.HoldingService/WhoHas", holding_pb2.WhoHasRequest, holding_pb2.WhoHasResponse
)
RESUME: Final = Question("/throughline.v1.HoldingService/Resume", holding_pb2.ResumeRequest, holding_pb2.ResumeResponse)
SUBMIT_POLICY: Final = Question(
    "/throughline.v1.PolicyService/Submit", policy_pb2.SubmitRequest, policy_pb2.SubmitResponse, 5 * 1024 * 1024
)
DIRECT_POLICY: Final = Question(
    "/throughline.v1.PolicyService/Direct", policy_pb2.DirectRequest, policy_pb2.DirectResponse
)
POLICY_STATUS: Final = Question(
    "/throughline.v1.PolicyService/Status",
    policy_pb2.PolicyServiceStatusRequest,
    policy_pb2.PolicyServiceStatusResponse,
)
POLICY_HISTORY: Final = Question(
    "/throughline.v1.PolicyService/History", policy_pb2.HistoryRequest, policy_pb2.HistoryResponse
)
POLICY_BUNDLE: Final = Question(
    "/throughline.v1.PolicyService/Bundle", policy_pb2.BundleRequest, policy_pb2.BundleResponse
)
EXPLAIN: Final = Question(
    "/throughline.v1.PolicyService/Explain", policy_pb2.ExplainRequest, policy_pb2.ExplainResponse
)
