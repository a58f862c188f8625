"""What a mistake is, and how it takes the place of the real part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Mistake:
    """`only`: the kinds of injuries that bring it out, or their families; all where it is empty."""

    name: str
    family: str
    wrong: str
    owner: Any
    """The class or module in which it stands."""
    attribute: str
    part: Any
    only: tuple[str, ...]
    calls: int
    """In a schedule: as few as find it fast."""

    @contextmanager
    def made(self) -> Iterator[None]:
        """For as long as this lasts, the mistake is made."""
        real = vars(self.owner)[self.attribute]
        setattr(self.owner, self.attribute, self.part)
        try:
            yield
        finally:
            setattr(self.owner, self.attribute, real)


KNOWN: Final[dict[str, Mistake]] = {}
"""Every mistake by its name, in the order of their files."""
CALLS: Final = 30


def mistake(
    owner: Any,
    attribute: str,
    *,
    only: tuple[str, ...] = (),
    calls: int = CALLS,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function a known mistake in the place of `owner.attribute`, which it is given as its first argument.

    In the place of a constant stands what it returns.
    """
    if isinstance(owner, type):  # where it stands, which may be a part that the class inherits
        owner = next(each for each in owner.__mro__ if attribute in vars(each))
    there = vars(owner)[attribute]
    real = there.__func__ if isinstance(there, staticmethod) else there

    def register(wrong: Callable[..., Any]) -> Callable[..., Any]:
        if callable(real):

            @wraps(real)
            def in_its_place(*args: Any, **more: Any) -> Any:
                return wrong(real, *args, **more)
        else:
            in_its_place = wrong(real)
        part = staticmethod(in_its_place) if isinstance(there, staticmethod) else in_its_place
        assert wrong.__doc__ and wrong.__name__ not in KNOWN
        KNOWN[wrong.__name__] = Mistake(
            wrong.__name__,
            wrong.__module__.rpartition(".")[2],
            " ".join(wrong.__doc__.split()),
            owner,
            attribute,
            part,
            only,
            calls,
        )
        return wrong

    return register
