"""Keys and signatures as files: NAME.key for one person alone, BUNDLE.NAME.sig beside the bundle, an order in a file.

What is signed, and that it is right, is `services/policy/files/signing.py`'s; the firewalls check it again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.policy.bundle import Bundle
from services.policy.files import signing
from services.policy.files.canonical import Action, Order, Signature
from services.policy.files.reading import BundleRefused, read_bundle
from services.policy_cli import given

KEY: Final = ".key"
SIGNATURE: Final = ".sig"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_BYTES_MAX: Final = 64 * 1024


class BadSeal(Exception):
    """A key, signature or order that cannot be used; the message says which file and what was expected."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who signs."""

    name: str
    private: str


def new_key(name: str, folder: Path) -> tuple[Path, str]:
    """Writes a fresh key that its owner alone can read; returns where, and the public half. Raises OSError, ValueError
    for a name that could not be a file's."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"expected letters, digits, - and _, 64 at most; got {name[:80]!r}")
    private = signing.new_private_key()
    path = folder / f"{name}{KEY}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(private + "\n")
    return path, signing.public_key(private)


def read_key(path: Path) -> Person:
    """The person of a key's file, named as the file is; raises BadSeal."""
    text = _read(path, f"a key such as alice{KEY}, which `throughline policy keygen` makes").strip()
    try:
        signing.public_key(text)
    except ValueError:
        raise BadSeal(f"{path}: expected the 64 hex digits of a private key") from None
    return Person(path.name.removesuffix(KEY), text)


def bundle_of(content: bytes) -> Bundle:
    """A bundle that was checked before; raises BadSeal."""
    try:
        return read_bundle(content)
    except BundleRefused as why:
        where = f"line {why.line}: " if why.line else ""
        raise BadSeal(f"{where}{why.what}; {why.instead}") from None


def write_signature(bundle_file: Path, signature: Signature) -> Path:
    """Beside the bundle, for `submit` to find; raises OSError."""
    path = bundle_file.with_name(f"{bundle_file.name}.{signature.signer}{SIGNATURE}")
    path.write_text(json.dumps(_as_json(signature), indent=1) + "\n")
    return path


def signatures_beside(bundle_file: Path) -> list[Path]:
    """The signatures that lie beside a bundle, by name."""
    return sorted(bundle_file.parent.glob(f"{bundle_file.name}.*{SIGNATURE}"))


def read_signature(path: Path) -> Signature:
    """Raises BadSeal."""
    return _signature(path, _parse(path))


def write_order(path: Path, order: Order, signatures: Sequence[Signature]) -> None:
    """An order under way to a second person; raises OSError."""
    said = {
        "action": order.action.name.lower(),
        "version": order.version,
        "sha256": order.digest,
        "made_at_ms": order.made_ms,
        "force": order.force,
        "why": order.why,
        "signatures": [_as_json(each) for each in signatures],
    }
    path.write_text(json.dumps(said, indent=1) + "\n")


def read_order(path: Path) -> tuple[Order, list[Signature]]:
    """Raises BadSeal."""
    said = _parse(path)
    try:
        order = Order(
            Action[str(said["action"]).upper()],
            int(said["made_at_ms"]),
            int(said["version"]),
            str(said["sha256"]),
            said["force"] is True,
            str(said["why"]),
        )
        return order, [_signature(path, each) for each in said["signatures"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadSeal(f"{path}: expected an order, as --save writes it; {error}") from None


def _as_json(signature: Signature) -> dict[str, Any]:
    return {
        "signer": signature.signer,
        "signed_at_ms": signature.signed_ms,
        "expires_at_ms": signature.expires_ms,
        "ed25519": signature.ed25519.hex(),
    }


def _signature(path: Path, said: Mapping[str, Any]) -> Signature:
    try:
        return Signature(
            str(said["signer"]),
            int(said["signed_at_ms"]),
            int(said["expires_at_ms"]),
            bytes.fromhex(str(said["ed25519"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadSeal(f"{path}: expected a signature, as `throughline policy sign` writes it; {error}") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(_read(path, "a signature or an order"))
    except (ValueError, RecursionError):
        raise BadSeal(f"{path}: expected JSON") from None
    if not isinstance(said, dict):
        raise BadSeal(f"{path}: expected a JSON object")
    return said


def _read(path: Path, what: str) -> str:
    try:
        with given.opened(path) as file:
            return file.read(_BYTES_MAX).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise BadSeal(f"cannot read {path}: {reason}; expected {what}") from None
