"""The turns of long SMS: one keeps each part, the last one's plays the whole, one gives up what never becomes whole."""

import asyncio
from functools import partial

from msgspec.structs import replace

from smpp.reassembly import Part, Taken
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.sms import SMS
from ussd_server.metrics import Metrics
from ussd_server.stores.base import Change, StoreUnavailable, pass_on
from ussd_server.turns import messages
from ussd_server.turns.failures import MAX_CONFLICTS, PerhapsCommitted, beaten, report
from ussd_server.turns.redelivery import is_repetition, place, remember
from ussd_server.turns.resources import Resources
from ussd_server.turns.turn import Turn


async def take(resources: Resources, input: Input, part: Part, age: float) -> Answer:
    """Keep a part of a long SMS; with the last one the whole is played, in the same commit.

    `age` is how old the input was when it was handled (s).
    """
    latest = False
    for _ in range(MAX_CONFLICTS):
        record, version = await resources.store.load(input.msisdn, latest)
        until = input.at + resources.limits.deadline_ms
        turn = Turn(resources.flow, record, version, input.at, until, resources.tools, input.account, input.number)
        taken = resources.letters.take(turn, part)
        result = "repeated" if taken.repeated else "part"
        if taken.text is not None:
            result = await _play_whole(resources, turn, replace(input, text=taken.text, part=None))
        if turn.record is record and not latest:  # nothing to commit, as far as it is known here
            latest = True
            continue
        if turn.record is record or await _commit(resources, turn.change(), age):
            _count(resources.metrics, input, result, taken)
            return Answer(None)
        latest = True
        resources.metrics.turns[input.channel.name, "conflict"] += 1
    raise beaten()


def expire(resources: Resources, turn: Turn, now: int) -> None:
    """Let the turn give up long SMS whose missing parts did not come by now (ms), and tell who wrote them."""
    lost = resources.letters.expire(turn, now)
    for _ in lost:
        resources.metrics.letters["expired"] += 1
    patient = resources.limits.patience.one_more(turn.record, turn.now, known=False) if lost else None
    if patient is not None:
        turn.record = patient
        turn.send(resources.text("unknown_sms", SMS, patient.language))


async def _play_whole(resources: Resources, turn: Turn, input: Input) -> str:
    """Play an SMS whose last part came, unless the whole of it was played before; return the turn's result."""
    typed = resources.digest(input.text)
    name = place(input, typed)
    last = turn.record.exchanges.get(name)
    if last is not None and is_repetition(last, input, typed):
        return "repeated"
    rest = messages.play(resources, turn, input)
    if rest is not None:
        await rest
    exchanges = remember(turn.record.exchanges, name, last, input, typed, Answer(None))
    turn.record = replace(turn.record, exchanges=exchanges)
    return "answered"


async def _commit(resources: Resources, change: Change, age: float) -> bool:
    """Commit as every turn does, and tell the admission what waits how long."""
    resources.admission.begun()
    asked = resources.stopwatch()
    try:
        committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        commit = resources.commit_work if change.outbox else resources.store.commit_then
        commit(change, partial(pass_on, committed))
        return await committed
    except StoreUnavailable:
        raise
    except (Exception, asyncio.CancelledError) as error:
        raise PerhapsCommitted(error) from error
    finally:
        resources.admission.done(age, resources.stopwatch() - asked)


def _count(metrics: Metrics, input: Input, result: str, taken: Taken) -> None:
    try:
        metrics.turns[input.channel.name, result] += 1
        if taken.text is not None:
            metrics.letters["whole"] += 1
        for each in taken.lost:
            metrics.letters[each.reason] += 1
    except Exception as error:  # what was committed stands
        report("turn not counted", input, error)
