"""How a turn ends where something broke: its subscriber reads that, and the log tells what it was."""

import asyncio
from typing import Final

import structlog

from ussd_server.channels.base import Answer, Input
from ussd_server.log import mask
from ussd_server.stores.base import PerhapsDone, StoreUnavailable
from ussd_server.turns.resources import Resources

log = structlog.get_logger()

MAX_CONFLICTS: Final = 8
"""How often a turn is made again because something else changed the record first, before its input is refused."""

_BROKEN: Final = Answer(None, durable=False)
"""The answer where not even the text that says so can be said."""


class PerhapsCommitted(Exception):
    """A commit raised what nobody expects: it may have been written. That is its cause."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__("it is not known whether anything was changed")
        self.__cause__ = cause


def of_commit(error: BaseException) -> BaseException:
    """Return what a commit raised as what it says of what was changed."""
    return error if isinstance(error, StoreUnavailable) else PerhapsCommitted(error)


def beaten() -> StoreUnavailable:
    """Return what an input is refused for that was played `MAX_CONFLICTS` times in vain."""
    return StoreUnavailable(f"this subscriber was changed {MAX_CONFLICTS} times during one turn")


def failed(resources: Resources, input: Input, error: BaseException, language: str = "") -> Answer:
    """Log what broke, and return what says so; where that breaks, too, it is an answer without a word.

    Only where it is certain that nothing was done, it is said that something broke; else that nobody knows. `language`
    is the subscriber's, where it is known.
    """
    try:
        _note(resources, input, error)
        text = "unsure" if isinstance(error, PerhapsDone | PerhapsCommitted) else "broken"
        return Answer(resources.text(text, input.channel, language), durable=False)
    except Exception as another:
        report("failing failed", input, another)
        return _BROKEN


def _note(resources: Resources, input: Input, error: BaseException) -> None:
    channel, msisdn = input.channel.name, mask(input.msisdn)
    if isinstance(error, StoreUnavailable):
        resources.metrics.turns[channel, "refused"] += 1
        resources.outage.failed(resources.tools.clock(), msisdn=msisdn, cause=str(error))
        return
    resources.metrics.turns[channel, "failed"] += 1
    if isinstance(error, PerhapsCommitted):
        log.error("turn failed, perhaps committed", msisdn=msisdn, channel=channel, exc_info=error)
    else:
        log.error("turn failed, nothing changed", msisdn=msisdn, channel=channel, exc_info=error)


def report(event: str, input: Input, error: BaseException) -> None:
    """Log what broke where nothing else may break for it; if that breaks, too, the loop says so."""
    try:
        log.error(event, msisdn=mask(input.msisdn), channel=input.channel.name, exc_info=error)
    except Exception as another:
        asyncio.get_running_loop().call_exception_handler({"message": event, "exception": another})
