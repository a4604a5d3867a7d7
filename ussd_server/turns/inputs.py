"""What an input asks for: of the admission, and of the engine."""

from typing import Final

from msgspec.structs import replace

from menus.events import Begin, Dropped, Event, Reply
from ussd_server.channels.base import Input
from ussd_server.turns.admission import Kind
from ussd_server.turns.redelivery import ENDINGS
from ussd_server.turns.turn import Turn

_KINDS: Final = {
    "dial": Kind.DIALOGUE,
    "message": Kind.SMS,
    "reply": Kind.UNDER_WAY,
    "drop": Kind.ENDING,
    "confirm": Kind.ENDING,
}


def kind_of(input: Input) -> Kind:
    """Return what an input asks for; a code is dialled, also where a gateway says that it is an answer."""
    if input.kind == "reply" and _is_code(input.text):
        return Kind.DIALOGUE
    return _KINDS[input.kind]


def event_of(turn: Turn, input: Input) -> Event | None:
    """Return what an input of a USSD dialogue is to the engine, None for a code that leads nowhere.

    The session that was on the screen when another is dialled is dropped.
    """
    if input.kind in ENDINGS:
        return Dropped("timeout" if input.text == "timeout" else "abort")
    session = turn.record.sessions.get(input.channel.name)
    # Some gateways begin and go on with the same operation: a code where nothing waits is dialled.
    if input.kind == "reply" and (session is not None or not _is_code(input.text)):
        return Reply(input.text)
    match = turn.flow.match_ussd(input.text)
    if match is None:
        return None
    if session is not None and not session.dropped:
        # Many gateways never say that a dialogue ended; a new one says so as well.
        dropped = replace(session, dropped=True)
        turn.record = replace(turn.record, sessions={**turn.record.sessions, input.channel.name: dropped})
    return Begin(turn.tools.new_id(), match.node, tail=match.tail)


def _is_code(text: str) -> bool:
    return text.startswith(("*", "#")) and text.endswith("#")
