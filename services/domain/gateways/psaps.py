"""All PSAPs of one gateway: which stream is whose, who is silent, who is suspect, and whose stream is to end.

What rings at a PSAP that loses its stream is given back at once, but for what it was told to connect: it may have done
so, and an attempt that is given up then could be connected twice. It has a second to come back and say (R5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.domain.deadlines import Deadlines
from services.domain.events import Failure
from services.domain.gateways.attachments import DOUBTED_AFTER_S, SILENT_AFTER_S, Attachment, Offence
from services.domain.gateways.patching import Cancel, Connect, Doubted, Unlink
from services.domain.gateways.rings import RETURN_S, UNCLAIMED_S, Due, Rings, Stage


class Psaps:
    """Every PSAP that has ever attached here, by id, and by the number of its present stream."""

    def __init__(self, rings: Rings, dues: Deadlines[Due]) -> None:
        self.changed = False
        """A PSAP's row changed in a way that routers should hear of at once."""
        self.lost: list[Attachment] = []
        """Those that lost a stream since somebody last looked."""
        self._rings = rings
        self._dues = dues
        self._known: dict[str, Attachment] = {}
        self._links: dict[int, Attachment] = {}

    def __iter__(self) -> Iterator[Attachment]:
        return iter(self._known.values())

    @property
    def attached(self) -> int:
        return len(self._links)

    def get(self, psap_id: str) -> Attachment | None:
        return self._known.get(psap_id)

    def on(self, link: int) -> Attachment | None:
        """Whose stream this is; None when it was ended from here."""
        return self._links.get(link)

    def attach(
        self, link: int, psap_id: str, ringing: Sequence[str], held: Sequence[str], beats: bool, now: float
    ) -> Attachment:
        """A stream with a good hello; an older one of the same PSAP ends."""
        psap = self._known.get(psap_id)
        if psap is None:
            psap = self._known[psap_id] = Attachment(psap_id)
        older = psap.link
        psap.attach(link, ringing, held, beats, now)
        psap.claimed.difference_update([ring.name for ring in self._rings.at(psap)])
        self._links[link] = psap
        self._watch(psap)
        if psap.claimed:
            self._dues.set(now + UNCLAIMED_S, Due.UNCLAIMED, str(link))
        if older is not None:
            self.lost.append(psap)
            del self._links[older]
            self._rings.effects.append(Unlink(older, Offence.REPLACED, "the same PSAP has attached again"))
        self.changed = True
        return psap

    def go_on(self, psap: Attachment, link: int, ringing: Sequence[str], held: Sequence[str], now: float) -> None:
        """What is in hand there, and what was given up meanwhile, by what its hello says (R5)."""
        for one in self._rings.at(psap):
            if one.stage is Stage.CONNECTING and one.name in held:
                self._rings.connected(one)
            elif one.name not in ringing or one.stage is Stage.OFFERED:
                self._rings.fail(one, Failure.UNREACHABLE, "psap_attached_again")
            elif one.stage is Stage.CONNECTING:
                self._rings.effects.append(Connect(link, one.name))  # it may not have heard it
            else:
                self.overhear(psap, now)
        for attempt in held:
            if attempt in self._rings.unwanted:
                self._rings.let_go(psap, attempt)
        for attempt in ringing:
            if attempt in psap.over and self._rings.get(attempt) is None:
                self._rings.effects.append(Cancel(link, attempt, "over"))

    def hear(self, link: int, now: float) -> Attachment | None:
        """A message has come over this link; None when nothing more is to be made of it."""
        psap = self._links.get(link)
        if psap is None:
            return None  # ended from here; this crossed
        psap.heard_at = now
        if psap.silent:
            psap.silent = False
            self.changed = True
            self._watch(psap)
        if not psap.allowance.take(now):
            self.cut(link, Offence.FLOOD, "more messages than its calls could explain", now)
            return None
        return psap

    def detach(self, link: int, reason: str, now: float) -> None:
        """A stream is over. Nothing happens when it was ended from here already."""
        psap = self._links.pop(link, None)
        if psap is None:
            return
        psap.detach(reason, now)
        self.lost.append(psap)
        for ring in self._rings.lose_all_at(psap, reason):
            self._dues.set(now + RETURN_S, Due.RETURN, ring.name)
        self.changed = True

    def cut(self, link: int, offence: Offence, reason: str, now: float) -> None:
        """Ends a stream for what its PSAP did."""
        self._rings.effects.append(Unlink(link, offence, reason))
        self.detach(link, f"cut_off_{offence}", now)

    def trust(self, psap: Attachment) -> None:
        """It takes up offers."""
        if psap.probe_at is not None:
            psap.probe_at = None
            self.changed = True

    def suspect(self, psap: Attachment, now: float) -> None:
        """It did not take up an offer, or did not do as it was told."""
        psap.suspect(now)
        assert psap.probe_at is not None
        self._dues.set(psap.probe_at, Due.PROBE, psap.psap_id)
        self.changed = True

    def overhear(self, psap: Attachment, now: float) -> None:
        """Something rings there: sets a look at whether it is heard meanwhile, unless one is set."""
        if psap.beats_while_ringing and not psap.overheard:
            psap.overheard = True
            self._dues.set(max(psap.heard_at + DOUBTED_AFTER_S, now), Due.DOUBT, psap.psap_id)

    def judge_doubt(self, psap_id: str, now: float) -> None:
        """The time has come to look whether it speaks while something rings. A ring begins with a word of its own."""
        psap = self._known[psap_id]
        psap.overheard = False
        untold = [ring for ring in self._rings.at(psap) if ring.waits and not ring.doubted]
        if not untold or not psap.beats_while_ringing:
            return
        if psap.heard_at + DOUBTED_AFTER_S > now:
            self.overhear(psap, now)
            return
        for ring in untold:
            ring.doubted = True
            self._rings.effects.append(Doubted(ring.name))

    def judge_silence(self, psap_id: str, now: float) -> None:
        """The time has come to look whether it still speaks."""
        psap = self._known[psap_id]
        psap.watched = False
        if psap.link is None or psap.silent:
            return
        if psap.heard_at + SILENT_AFTER_S > now:
            self._watch(psap)
            return
        psap.silent = True
        self.changed = True
        self._rings.fail_all_at(psap, "silent")

    def _watch(self, psap: Attachment) -> None:
        """Sets the next look at its silence, unless one is set."""
        if not psap.watched:
            psap.watched = True
            self._dues.set(psap.heard_at + SILENT_AFTER_S, Due.SILENCE, psap.psap_id)
