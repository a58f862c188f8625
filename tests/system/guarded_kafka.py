"""A broker that lets nobody in without a name, set up as docs/firewall.md says: by its properties and commands."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.kafka import Cluster, jars
from deploy.kafka.node import free_ports, tool_command
from services.host.lifeline import Lifeline
from tests import acls

TOOLS: Final = {
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-configs.sh": "org.apache.kafka.tools.ConfigCommand",
}
COMMAND_LIMIT_S: Final = 60.0
AT_ONCE: Final = 2
_SHIM: Final = """#!{python}
import json, sys
with open("{asked}", "a") as file:
    print(json.dumps(["{tool}", *sys.argv[1:]]), file=file)
"""
_DAY: Final = datetime.timedelta(days=1)


class Authority:
    """Signs certificates for this machine: `NAME.pem` holds the certificate and its key, `ca.pem` our own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("ca")
        made = _certificate(self._name, self._name, self._key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        (folder / "ca.pem").write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = _certificate(_subject(name), self._name, key.public_key()).add_extension(loopback, critical=False)
        pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        pem += key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self._folder / f"{name}.pem").write_bytes(pem)


class Guarded:
    """Where it is, and what an operator who works in `folder` does to it."""

    def __init__(self, folder: Path, cluster: Cluster, clients: str, admin: str) -> None:
        self.folder = folder
        self.cluster = cluster
        self.nameless = cluster.bootstrap
        """A listener in plain text, which is not in the paper: who comes there is `User:ANONYMOUS`."""
        self.clients = clients
        self.admin = admin
        self._asked = folder / "asked"
        shims = folder / "bin"
        shims.mkdir()
        for tool in TOOLS:
            shim = shims / tool
            shim.write_text(_SHIM.format(python=sys.executable, asked=self._asked, tool=tool))
            shim.chmod(0o755)

    def type(self, script: str, **environment: str) -> str:
        """Has a shell run what the paper says. Its `kafka-*.sh` are noted down, and then run, two at a time: each is a
        Java of its own, and none needs another."""
        script = script.replace("BROKER:9093", self.admin).replace("BROKER:9092", self.clients)
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        self._asked.write_text("")
        said = self._run(["sh", "-euc", script], {"PATH": path, **environment})
        class_path = jars.class_path(print)
        asked = [json.loads(line) for line in self._asked.read_text().splitlines()]
        commands = [[*tool_command(class_path, TOOLS[tool]), *words] for tool, *words in asked]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return said + "".join(threads.map(self._run, commands))

    def _run(self, command: list[str], environment: Mapping[str, str] = MappingProxyType({})) -> str:
        ended = subprocess.run(
            command, cwd=self.folder, env={**os.environ, **environment}, timeout=COMMAND_LIMIT_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, f"{command[-8:]}: {ended.stdout}"
        return ended.stdout


@contextmanager
def guarded_kafka(folder: Path) -> Iterator[Guarded]:
    """Up, and with nothing said to it yet."""
    authority = Authority(folder)
    for name in ("broker", "admin", "firewall"):
        authority.sign(name)
    for name in acls.NAMES:
        (folder / f"{name}.password").write_text(secrets.token_urlsafe(24) + "\n")
    (folder / "admin.properties").write_text(acls.block("properties", "security.protocol"))
    settings = acls.properties("listeners=")
    declared = dict(each.split("://:") for each in settings.pop("listeners").split(","))
    clients, admin = free_ports(2)
    listeners = {"CLIENTS": clients, "ADMIN": admin}
    assert declared.keys() == {*listeners, "CONTROLLER"}, "the broker of the paper has other listeners by now"
    settings["listener.security.protocol.map"] += ",PLAINTEXT:PLAINTEXT"
    for store in ("ssl.keystore.location", "ssl.truststore.location"):
        settings[store] = str(folder / settings[store])
    lifeline = Lifeline()
    cluster = Cluster(folder / "kafka", lifeline=lifeline, scratch=True, listeners=listeners, settings=settings)
    try:
        cluster.start()
        yield Guarded(folder, cluster, f"127.0.0.1:{clients}", f"127.0.0.1:{admin}")
    finally:
        cluster.close()
        lifeline.close()


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )
