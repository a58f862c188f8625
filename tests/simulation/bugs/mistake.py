"""What a mistake is, and how it takes the place of the real part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

Part = tuple[Any, str]
"""A class or module, and the name of what is replaced in it."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """`only`: the kinds of injuries that bring it out, or their families; all where it is empty."""

    name: str
    family: str
    wrong: str
    parts: Mapping[Part, Any]
    only: tuple[str, ...]
    calls: int
    """In a schedule: as few as find it fast."""

    @contextmanager
    def made(self) -> Iterator[None]:
        """For as long as this lasts, the mistake is made."""
        before = {(owner, name): vars(owner)[name] for owner, name in self.parts}
        try:
            for (owner, name), wrong in self.parts.items():
                setattr(owner, name, wrong)
            yield
        finally:
            for (owner, name), real in before.items():
                setattr(owner, name, real)


KNOWN: Final[dict[str, Mistake]] = {}
"""Every mistake by its name, in the order of their files."""
CALLS: Final = 30


def mistake(
    owner: Any,
    attribute: str,
    *,
    only: tuple[str, ...] = (),
    calls: int = CALLS,
    also: Mapping[Part, Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function a known mistake in the place of `owner.attribute`, which it is given as its first argument.

    `also`: what must be different beside it for the mistake to be one, as it is.
    """
    real = vars(owner)[attribute]
    assert callable(real), f"expected a function in the place of {attribute}"

    def register(wrong: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(real)
        def in_its_place(*args: Any, **more: Any) -> Any:
            return wrong(real, *args, **more)

        assert wrong.__doc__ and wrong.__name__ not in KNOWN
        KNOWN[wrong.__name__] = Mistake(
            wrong.__name__,
            wrong.__module__.rpartition(".")[2],
            " ".join(wrong.__doc__.split()),
            {(owner, attribute): in_its_place, **(also or {})},
            only,
            calls,
        )
        return wrong

    return register
