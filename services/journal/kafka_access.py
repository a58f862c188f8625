"""How we come to Kafka, beside its addresses: in plain text and nameless, or encrypted and under a name."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Access:
    """`trust` says whose brokers we believe, and holds our own certificate where that is our name (SSL). A name with a
    password is for SASL_SSL."""

    protocol: str = "PLAINTEXT"
    trust: ssl.SSLContext | None = None
    mechanism: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """For a message: which way, and as whom."""
        return f"{self.protocol} as {self.user}" if self.user else self.protocol

    def client_options(self) -> dict[str, Any]:
        """The same, as aiokafka's clients and connections spell it."""
        return {
            "security_protocol": self.protocol,
            "ssl_context": self.trust,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }


PLAIN_TEXT: Final = Access()
PAPER: Final = "docs/firewall.md"
"""Named by each refusal of Kafka's: who is not let in, or may not do a thing, needs no other advice."""
