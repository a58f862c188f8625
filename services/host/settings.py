"""Settings: read once from the environment, checked whole, frozen, before any port is bound.

A service's own settings are a subclass that names its `service`. Each field is read from the environment's
`THROUGHLINE_<SERVICE>_<FIELD>`; the fields of `ServiceSettings` itself, which every service shares, also from
`THROUGHLINE_<FIELD>`, so that one variable serves a whole installation. A bad value is told as one line a field
(`Bad`), and the process ends with exit code 64.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from services.host.addresses import host_port

PREFIX: Final = "THROUGHLINE_"
ROOT: Final = Path(__file__).resolve().parents[2]
# What Kubernetes puts into every pod's environment for a Service named like ours; not ours to read, nor to warn of.
_SERVICE_LINK: Final = re.compile(r".*_(SERVICE_(HOST|PORT)(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_.*)?)?)")

_OF_PROTOCOL: Final[Mapping[str, tuple[str, ...]]] = {
    "PLAINTEXT": (),
    "SSL": ("kafka_certificate_file", "kafka_key_file"),
    "SASL_SSL": ("kafka_user", "kafka_password_file"),
}
"""By what a service shows its name to Kafka."""
_PROTOCOLS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    **{field: (protocol,) for protocol, fields in _OF_PROTOCOL.items() for field in fields},
    "kafka_mechanism": ("SASL_SSL",),
    "kafka_ca_file": ("SSL", "SASL_SSL"),
}
"""Who uses what."""


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Address = Annotated[str, AfterValidator(host_port)]
"""One `host:port`."""
Addresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_split)]
"""Several, separated by commas in the environment."""
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several words, separated by commas in the environment."""


class ServiceSettings(BaseSettings):
    """What every service is told. Subclass it, name the `service`, and describe each field with its unit."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix=PREFIX, validate_default=True)

    service: ClassVar[str] = ""
    """The service's name, as in `throughline run NAME`; a subclass sets it."""

    name: str = Field(
        "",
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$",
        description="This replica's own name, such as `ingress-1`; unique in the installation. Default: the service's.",
    )
    listen: Address = Field("127.0.0.1:0", description="Where gRPC is served, host:port; port 0 takes any free one.")
    metrics_listen: Address = Field(
        "127.0.0.1:0",
        description="Where /metrics, /livez and /readyz are served, host:port; port 0 takes any free one.",
    )
    kafka: Addresses = Field(
        ("127.0.0.1:9092",), description="Kafka's bootstrap servers, host:port separated by commas."
    )
    kafka_protocol: str = Field(
        "PLAINTEXT",
        pattern=r"^(PLAINTEXT|SSL|SASL_SSL)$",
        description="How Kafka is spoken to: `PLAINTEXT`, which has no names; `SSL`, with a certificate for a name or "
        "none; `SASL_SSL`, with a user's password.",
    )
    kafka_ca_file: Path | None = Field(
        None, description="PEM of whoever signs the brokers' certificates. None: those that this machine trusts."
    )
    kafka_certificate_file: Path | None = Field(
        None, description="PEM of our own certificate and what leads to its signer, for `SSL`; its subject is our name."
    )
    kafka_key_file: Path | None = Field(None, description="PEM of that certificate's key, without a passphrase.")
    kafka_user: str = Field("", description="Our name at Kafka, for `SASL_SSL`.")
    kafka_password_file: Path | None = Field(None, description="The file that holds that user's password, one line.")
    kafka_mechanism: str = Field(
        "SCRAM-SHA-512",
        pattern=r"^(SCRAM-SHA-512|SCRAM-SHA-256|PLAIN)$",
        description="How the password is shown to Kafka, for `SASL_SSL`; `PLAIN` hands it over.",
    )
    region_dir: Path = Field(
        ROOT / "data" / "massachusetts", description="The folder of the region's places, PSAPs and lines."
    )
    credentials_file: Path | None = Field(
        None,
        description="The installation's credentials.csv: the SHA-256 of each PSAP's token. None: no PSAP may attach.",
    )
    region_cache: Path | None = Field(
        None,
        description="The folder where each replica keeps the last good published region, to start with when Kafka is "
        "away. None: it keeps none, and starts with the baked-in one.",
    )
    drain_s: float = Field(
        10.0, ge=0, le=3600, description="Seconds that calls in hand get to finish after SIGTERM, before they are cut."
    )
    production: bool = Field(
        False, description="Whether callers here are real; a load test with the real service URN is then refused."
    )
    log_level: str = Field(
        "info", pattern=r"^(debug|info|warning|error)$", description="The least level that is logged."
    )

    @property
    def region_cache_file(self) -> Path | None:
        """This replica's own file in that folder."""
        return None if self.region_cache is None else self.region_cache / f"region-{self.name}.json"

    @model_validator(mode="before")
    @classmethod
    def _default_name(cls, values: dict[str, Any]) -> dict[str, Any]:
        return values if values.get("name") else {**values, "name": cls.service.replace("_", "-") or "service"}

    @model_validator(mode="after")
    def _one_way_to_kafka(self) -> Self:
        """A file that nothing reads would pass for protection."""
        protocol = f"{self.told('kafka_protocol')} is {self.kafka_protocol}"
        for field, users in _PROTOCOLS_OF.items():
            if self.kafka_protocol not in users and field in self.model_fields_set and getattr(self, field):
                instead = f"leave it out, or set the protocol to {' or '.join(users)}"
                raise ValueError(f"{self.told(field)} is set, and {protocol}, which does not use it: {instead}")
        fitting = _OF_PROTOCOL[self.kafka_protocol]
        given = [field for field in fitting if getattr(self, field)]
        wanting = [field for field in fitting if field not in given]
        if wanting and (given or self.kafka_protocol == "SASL_SSL"):
            other = self.told(given[0]) if self.kafka_protocol == "SSL" else "the protocol"
            raise ValueError(f"{protocol}, and {self.told(wanting[0])} is not set: set it, or leave {other} out")
        return self

    @classmethod
    def told(cls, field: str) -> str:
        """A field in a message: by the variable that sets it, or where none does by the service's own."""
        variables = cls.variables(field)
        return next((each for each in variables if each in os.environ), variables[0])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """First what code was given, then the service's own variable, then the shared one. No file is read."""
        own = EnvSettingsSource(settings_cls, env_prefix=cls.own_prefix())
        return (init_settings, own, _Shared(settings_cls, env_prefix=PREFIX))

    @classmethod
    def own_prefix(cls) -> str:
        """How the names of this service's variables begin."""
        return f"{PREFIX}{cls.service.upper()}_" if cls.service else PREFIX

    @classmethod
    def variables(cls, field: str) -> tuple[str, ...]:
        """The environment variables that set `field`, the stronger first."""
        own = f"{cls.own_prefix()}{field.upper()}"
        return (own, f"{PREFIX}{field.upper()}") if field in ServiceSettings.model_fields and cls.service else (own,)


class _Shared(EnvSettingsSource):
    """`THROUGHLINE_<FIELD>`, for the fields that every service has; a service's own field needs the long name."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        if field_name not in ServiceSettings.model_fields:
            return None, field_name, False
        return super().get_field_value(field, field_name)


class Bad(Exception):
    """Settings that cannot be used; `lines` says for each field what was expected, what came and where it is set."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


S = TypeVar("S", bound=ServiceSettings)


def load(kind: type[S], **given: Any) -> S:
    """Reads the settings of one service from the environment, `given` above it; raises Bad."""
    try:
        return kind(**given)
    except ValidationError as error:
        raise Bad([_line(kind, dict(each)) for each in error.errors(include_url=False)]) from None


def _line(kind: type[ServiceSettings], error: dict[str, Any]) -> str:
    where = error["loc"]
    why = str(error["msg"]).removeprefix("Value error, ")
    if not where or str(where[0]) not in kind.model_fields:
        return why  # a rule between fields; it names them itself
    field = str(where[0])
    description = kind.model_fields[field].description or ""
    came = "" if "; got " in why else f"; got {error.get('input')!r}"
    return f"{kind.told(field)}: {why}{came}. {description}"


def unknown(kind: type[ServiceSettings], environment: Mapping[str, str]) -> list[str]:
    """One line for each variable that begins like one of this service's and sets nothing: most likely a slip."""
    known = [kind.variables(field)[0] for field in kind.model_fields]
    lines = []
    for name in sorted(environment):
        if name.startswith(kind.own_prefix()) and name not in known and not _SERVICE_LINK.fullmatch(name):
            near = difflib.get_close_matches(name, known, n=1)
            lines.append(f"{name} sets nothing" + (f"; is {near[0]} meant?" if near else ""))
    return lines
