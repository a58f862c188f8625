"""Why Kafka does not let us in, in one line. aiokafka keeps to itself what a broker said, and tells that none did."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.metadata import MetadataRequest

from services.journal.kafka_access import PAPER, Access

ANSWERS_WITHIN_S: Final = 2.0


async def why_not(bootstrap: str, access: Access, error: BaseException) -> str:
    """What a client's failure to start comes from. Where no broker seems to answer, each is asked once more."""
    if isinstance(error, ClusterAuthorizationFailedError | TopicAuthorizationFailedError):
        return f"no ACL of Kafka's at {bootstrap} allows that ({error!r}, {access}): see {PAPER}"
    if isinstance(error, KafkaConnectionError):
        addresses = [(host, port) for host, port, _ in collect_hosts(bootstrap, randomize=False)]
        refusals = await asyncio.gather(*(_refusal(host, port, access) for host, port in addresses))
        for (host, port), refusal in zip(addresses, refusals, strict=True):
            if refusal is not None:
                return f"{host}:{port} does not let us in by {access}: {refusal} ({PAPER})"
    return f"no broker answers at {bootstrap} ({error!r})"


async def _refusal(host: str, port: int, access: Access) -> str | None:
    """A broker's own; None where it lets us in, or is not there.

    It is found by private parts of the library. A mistake in them costs nobody a connection, and is told to the loop's
    exception handler, which logs it.
    """
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            connection = await create_conn(host, port, **access.client_options())
            try:
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
    except (KafkaConnectionError, ConnectionResetError):
        return "it ends the connection; does that listener speak so?"
    except (KafkaError, ssl.SSLError) as refused:
        return str(refused)
    except OSError:  # a deadline that has passed is one too
        return None
    except Exception as mistake:
        message = f"kafka: a mistake in asking {host}:{port} why it does not let us in"
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": mistake})
        return None
    return None
