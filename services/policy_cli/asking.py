"""How a command asks firewalls over gRPC: each in its turn, until one answers; an order to let calls pass, all of them.

Any firewall answers for all, since what one accepts reaches the others over the topic `policy`. Revert and bypass are
followed without it too, by the firewall that hears them; so those are said to each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final, TypeVar

import typer
from google.protobuf.message import Message
from throughline.v1 import policy_pb2

from services.host.addresses import checked
from services.host.exits import EXIT_UNAVAILABLE
from services.host.network import Broken, Network, Status
from services.policy_cli.ending import EXIT_REFUSED, refuse
from services.readers.wording import plain
from services.wire.methods import POLICY_BUNDLE, Question

WITHIN_S: Final = 10.0
WHERE: Final = "Say where with --firewall HOST:PORT,HOST:PORT"
SUBMIT_WITHIN_S: Final = 120.0
"""A large bundle is read and checked by helpers of the firewall, which give way to calls."""
ELSEWHERE: Final = frozenset({Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.CANCELLED, Status.UNIMPLEMENTED})
"""What says nothing of the question: the next firewall may answer it."""

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)
T = TypeVar("T")

Firewalls = Annotated[
    str,
    typer.Option(
        "--firewall",
        envvar="THROUGHLINE_INGRESS_FIREWALLS",
        metavar="HOST:PORT",
        help="Firewalls to ask, separated by commas: those that the ingresses ask.",
    ),
]


def addresses(firewalls: str) -> tuple[str, ...]:
    """Those of the option; a usage error where there are none, or one is no address."""
    found = tuple(each.strip() for each in firewalls.split(",") if each.strip())
    if not found:
        raise typer.BadParameter(
            f"expected at least one firewall. {WHERE}, or in THROUGHLINE_INGRESS_FIREWALLS", param_hint="--firewall"
        )
    checked(",".join(found))
    return found


async def first(
    network: Network, firewalls: Sequence[str], question: Question[Out, In], said: Out, within_s: float = WITHIN_S
) -> In:
    """The first answer; raises Broken: the refusal of the one that answered, or the last one's trouble."""
    assert firewalls, "addresses() gives at least one"
    trouble = Broken(Status.UNAVAILABLE, "nobody was asked")
    for address in firewalls:
        try:
            return await network.ask(address, question, said, within_s=within_s)
        except Broken as broken:
            trouble = Broken(broken.status, f"{address}: {broken.detail}")
            if broken.status not in ELSEWHERE:
                break
    raise trouble


async def each(
    network: Network, firewalls: Sequence[str], question: Question[Out, In], said: Out
) -> list[tuple[str, In | Broken]]:
    """What every firewall answers, asked at once."""

    async def one(address: str) -> In | Broken:
        try:
            return await network.ask(address, question, said, within_s=WITHIN_S)
        except Broken as broken:
            return broken

    return list(zip(firewalls, await asyncio.gather(*(one(address) for address in firewalls)), strict=True))


def over_grpc(act: Callable[[Network], Awaitable[T]]) -> T:
    """Acts with a network of its own; ends with one line where no firewall answers, or one refuses."""

    async def acting() -> T:
        from services.host.network.grpc import GrpcNetwork  # gRPC takes a while to import; --help needs none of it

        network = GrpcNetwork()
        try:
            return await act(network)
        finally:
            await network.close()

    try:
        return asyncio.run(acting())
    except Broken as broken:
        if broken.status in ELSEWHERE:
            refuse(f"no firewall answers: {plain(broken.detail)} ({broken.status}). {WHERE}", EXIT_UNAVAILABLE)
        refuse(f"refused by {plain(broken.detail)} ({broken.status})", EXIT_REFUSED)


def live_bundle(firewalls: Sequence[str]) -> bytes:
    """The bytes of the bundle that answers calls; none where it was never a file."""
    answer = over_grpc(lambda network: first(network, firewalls, POLICY_BUNDLE, policy_pb2.BundleRequest()))
    return answer.content
