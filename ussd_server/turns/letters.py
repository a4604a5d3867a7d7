"""Long SMS that come in: their parts are kept in the subscriber's record, sealed, until the text is whole.

A part is acknowledged when it is in the store, so no crash loses it, and the next one may come by another link to
another server. `docs/decisions/0011-parts-of-long-sms-in-the-record.md` tells why.
"""

from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from smpp import reassembly
from smpp.reassembly import Letter, Limits, Lost, Part, Taken
from ussd_server.channels.sms import BLANK
from ussd_server.log import mask
from ussd_server.secrecy.vault import Vault, VaultError
from ussd_server.stores.base import JournalEntry
from ussd_server.turns.turn import Turn

log = structlog.get_logger()

AGE_MS: Final = 3_600_000
"""How long the other parts may take from the first: an SMSC that could not deliver one tries again, later each time."""

LIMITS: Final = Limits(letters=8, per_source=8, octets=40_000, age_ms=AGE_MS)
"""For one subscriber. 255 parts of 140 octets are 35 700; nobody writes eight long SMS at once."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Letter, ...]).decode


class Letters:
    """Puts parts into records and takes whole texts out."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def take(self, turn: Turn, part: Part) -> Taken:
        """Let the turn keep a part, or what is left when the text is whole; a repeated part leaves the record as it is.

        The first part of a letter brings the outbox entry that gives the letter up when its time is over. Returns
        what became of the part, the text without blanks around it.
        """
        before = self._open(turn)
        taken = reassembly.take(before, part, turn.now, LIMITS)
        if taken.letters != before:
            self._keep(turn, taken.letters, taken.lost)
        if taken.began:
            turn.enqueue(turn.tools.new_id(), "letters", turn.now + AGE_MS)
        return taken if taken.text is None else taken._replace(text=taken.text.strip(BLANK))

    def expire(self, turn: Turn, now: int) -> tuple[Lost, ...]:
        """Let the turn forget the letters that are too old, and return those that were not whole."""
        before = self._open(turn)
        letters, lost = reassembly.expire(before, now, AGE_MS)
        if letters != before:
            self._keep(turn, letters, lost)
        return lost

    def _open(self, turn: Turn) -> tuple[Letter, ...]:
        record = turn.record
        if not record.letters:
            return ()
        try:
            return _decode(self._vault.open_letters(record.letters, record.msisdn))
        except (VaultError, msgspec.MsgspecError) as error:
            log.error("parts of long SMS are lost", msisdn=mask(record.msisdn), cause=str(error))
            return ()

    def _keep(self, turn: Turn, letters: tuple[Letter, ...], lost: tuple[Lost, ...]) -> None:
        record = turn.record
        sealed = self._vault.seal_letters(_encode(letters), record.msisdn) if letters else b""
        turn.record = replace(record, letters=sealed)
        for letter, reason in lost:
            came = {"number": letter.destination, "parts": len(letter.pieces), "of": letter.total, "reason": reason}
            turn.journal.append(JournalEntry(turn.now, "sms incomplete", came))
