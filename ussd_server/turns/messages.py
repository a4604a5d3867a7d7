"""SMS: what is done for them, and whether they are answered. An answer is an SMS of its own, from the outbox.

A sender that is a machine must not be answered for ever, so every answer needs the patience for one more. What was
asked for is done all the same.
"""

from collections.abc import Coroutine
from typing import Any

import structlog

from menus.engine import accepts, open_question
from menus.events import Begin, Event, Reply, Show
from ussd_server.channels.base import Input
from ussd_server.log import mask
from ussd_server.subscribers.record import Exchange
from ussd_server.turns.redelivery import is_same_pdu
from ussd_server.turns.resources import Resources
from ussd_server.turns.turn import Turn

log = structlog.get_logger()


def play(resources: Resources, turn: Turn, input: Input) -> Coroutine[Any, Any, None] | None:
    """Play an SMS: the answer to a waiting question, a keyword, or something that leads nowhere.

    As `Turn.begin` does, at once where the operator answers at once; else return the rest of it.
    """
    flow, record = turn.flow, turn.record
    session = record.sessions.get("sms")
    event: Event | None = None
    if session is not None and accepts(flow, session, input.text, turn.facts(input.channel), turn.now):
        event = Reply(input.text)
    else:
        match = flow.entries.match_sms(input.number, input.text)
        if match is not None:
            event = Begin(turn.tools.new_id(), match.node, (), match.values)
    known = event is not None
    patient = resources.limits.patience.one_more(record, turn.now, known)
    if patient is None:
        resources.metrics.suppressed["patience"] += 1
        log.info("SMS not answered, its sender had enough", msisdn=mask(input.msisdn), known=known)
    else:
        turn.record = patient
    if event is None:
        text: str | None = resources.text("unknown_sms", input.channel, record.language)
    else:
        shown = turn.begin(event, input.channel)
        if shown is not None and type(shown) is not Show:
            return _answer_later(turn, shown, patient is not None)
        text = None if shown is None else shown.text
    if patient is not None and text is not None:
        turn.send(text)
    return None


async def _answer_later(turn: Turn, rest: Coroutine[Any, Any, Show | None], patient: bool) -> None:
    shown = await rest
    if shown is not None and patient:
        turn.send(shown.text)


def ask_again(resources: Resources, turn: Turn, input: Input, last: Exchange) -> bool:
    """Ask a question by SMS once more that the input would answer, if it were not taken for a repetition.

    It answered an earlier question in the same words, and came by another link since: the network may repeat it, or the
    subscriber mean the new question. Nobody is charged for what they may not have agreed to, and nobody who did is left
    without a word.
    """
    session = turn.record.sessions.get("sms")
    if input.kind != "message" or session is None or session.at <= last.at or is_same_pdu(last, input):
        return False
    known = turn.facts(input.channel)
    if not accepts(turn.flow, session, input.text, known, turn.now):
        return False
    question = open_question(turn.flow, session, turn.now, known, input.channel)
    patient = resources.limits.patience.one_more(turn.record, turn.now, known=True)
    if question is None or patient is None:
        return False
    turn.record = patient
    turn.send(question.text)
    return True
