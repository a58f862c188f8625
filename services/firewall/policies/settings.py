"""What an operator can set of the policies that a firewall takes, and of the switch past them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.host.settings import ServiceSettings


class PolicySettings(ServiceSettings):
    """A part of FirewallSettings; see docs/configuration.md."""

    policy_keys: Path | None = Field(
        None,
        description="The file of operators' public keys, `name: <64 hex digits>` a line, as `throughline policy "
        "keygen` prints it. None: nobody can sign, and the built-in policy stays.",
    )
    policy_cache: Path | None = Field(
        None,
        description="The folder where each replica keeps the last good policy, to start with when Kafka is away. "
        "None: it keeps none, and starts with the built-in one.",
    )
    bypass: bool = Field(False, description="Whether every call passes, whatever policies say, until it is restarted.")
    bypass_file: Path | None = Field(
        None,
        description="A file whose presence lets every call pass, whatever policies say; looked for each second. It "
        "needs neither Kafka nor a restart, and counts though it cannot be read. None: there is no such file.",
    )

    @property
    def policy_cache_file(self) -> Path | None:
        """This replica's own file in that folder."""
        return None if self.policy_cache is None else self.policy_cache / f"policy-{self.name}.json"
