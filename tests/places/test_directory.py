"""Lines, alternates and credentials of the answering points."""

from hashlib import sha256

from services.places.directory import NUISANCE_DESK, REGION_DESK, Line
from services.places.region import Region

Texts = dict[str, str | bytes]


def test_lines_come_in_the_order_to_dial_them_with_their_capacity(texts: Texts) -> None:
    """R7: lines are finite; the order is the table's `order`, not its rows'."""
    directory = Region.from_texts(texts).directory
    assert directory.lines_of("1") == (Line("+16175550100", 1), Line("+16175550101", 2))
    assert directory.lines_of(REGION_DESK) == (Line("+16175550104", 30),)
    assert directory.lines_of(NUISANCE_DESK) == (Line("+16175550105", 10),)
    assert directory.lines_of("nobody") == ()


def test_candidates_are_the_psap_and_then_its_alternates_in_order(texts: Texts) -> None:
    """The primary first; a PSAP without alternates stands alone."""
    directory = Region.from_texts(texts).directory
    assert directory.candidates_from("1") == ("1", "2", "9")
    assert directory.candidates_from("9") == ("9",)


def test_only_a_psaps_own_tokens_are_admitted(texts: Texts) -> None:
    """R2: a PSAP claims its id with a token whose hash the directory holds; two tokens may overlap during a change."""
    rows = [("1", "old"), ("1", "new"), ("2", "other")]
    hashes = "".join(f"{psap_id},{sha256(token.encode()).hexdigest()}\n" for psap_id, token in rows)
    directory = Region.from_texts({**texts, "credentials.csv": "psap_id,sha256\n" + hashes.upper()}).directory
    assert directory.admits("1", "old")
    assert directory.admits("1", "new")
    assert not directory.admits("1", "other")
    assert not directory.admits("2", "old")
    assert not directory.admits("9", "")
    assert not directory.admits("nobody", "\ud800")
