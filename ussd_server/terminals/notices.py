"""What the owner of a number is told of what happens at terminals."""

from msgspec.structs import replace

from menus.own_texts import say
from ussd_server.subscribers import codes
from ussd_server.turns.turn import Turn


def tell_of_lock(turn: Turn, terminal: str) -> None:
    """Let this turn tell the owner by SMS that wrong entries at a terminal have closed access: once a lock.

    Who has not activated the service has no access that could be closed, and is not written to.
    """
    record = turn.record
    until = codes.untold_lock(record.access, turn.now)
    if not until or not record.active:
        return
    language = record.language or turn.flow.default_language
    turn.send(say(turn.flow, "access_locked_sms", {"until": until, "terminal": terminal}, language))
    turn.record = replace(record, access=codes.told(record.access, until))
