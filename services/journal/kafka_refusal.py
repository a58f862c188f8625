"""Why Kafka does not let us in, in one line. aiokafka keeps to itself what a broker said, and tells that none did."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from services.journal.kafka_access import PAPER, Access

ANSWERS_WITHIN_S: Final = 2.0


async def why_not(bootstrap: str, access: Access, error: BaseException) -> str:
    """What a client's failure to start comes from. Where no broker seems to answer, each is asked once more."""
    if isinstance(error, ClusterAuthorizationFailedError | TopicAuthorizationFailedError):
        return f"no ACL of Kafka's at {bootstrap} allows that ({error!r}, {access}): see {PAPER}"
    if isinstance(error, KafkaConnectionError):
        addresses = [address.strip() for address in bootstrap.split(",")]
        refusals = await asyncio.gather(*(_refusal(address, access) for address in addresses))
        for address, refusal in zip(addresses, refusals, strict=True):
            if refusal is not None:
                return f"{address} does not let us in by {access}: {refusal} ({PAPER})"
    return f"no broker answers at {bootstrap} ({error!r})"


async def _refusal(address: str, access: Access) -> str | None:
    """A broker's own; None where it lets us in, or is not there.

    It is found by private parts of the library, and whatever comes out of them may cost nobody a connection.
    """
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            connection = await create_conn(host, int(port), **access.client_options())
            try:
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
    except (SaslAuthenticationFailed, UnsupportedSaslMechanismError, ssl.SSLError) as refused:
        return str(refused)
    except (KafkaConnectionError, ConnectionResetError):
        return "it ends the connection; does that listener speak so?"
    except Exception:
        return None
    return None
