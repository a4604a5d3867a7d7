"""What is known of a request at a terminal whose answer was lost."""

import asyncio

import pytest

from tests.chaos.people import until_answered
from ussd_server.terminal_client import ProblemDetails, Refused, TerminalError, Unreachable, Untrusted

LOST = Unreachable("no answer", key="k1")
DOUBTED = Untrusted("its clock is wrong", key="k1")
REFUSED = Refused(ProblemDetails(type="clock-skew"))
REFUSED_LATER = Refused(ProblemDetails(type="clock-skew"), unsure=True)


def ask(*comes: object) -> tuple[object, list[str | None]]:
    """Return what became of a call to which these came one after the other, and the keys it was made with."""
    answers, keys = iter(comes), []

    async def call(key: str | None) -> object:
        keys.append(key)
        came = next(answers)
        if isinstance(came, TerminalError):
            raise came
        return came

    return asyncio.run(until_answered(call)), keys


@pytest.mark.parametrize("first", [LOST, DOUBTED], ids=["lost", "not believed"])
def test_it_is_taken_up_again_under_its_key(first: TerminalError) -> None:
    assert ask(first, "visit") == ("visit", [None, "k1"])


def test_what_is_refused_at_once_was_not_judged() -> None:
    with pytest.raises(Refused):
        ask(REFUSED)


@pytest.mark.parametrize("first", [LOST, DOUBTED], ids=["lost", "not believed"])
def test_what_is_refused_when_it_is_taken_up_again_may_have_been_judged_before(first: TerminalError) -> None:
    """A right code whose answer was lost, and whose repetition was refused, had cleared the count of wrong ones."""
    assert ask(first, REFUSED_LATER) == (None, [None, "k1"])


def test_what_the_client_had_sent_before_by_itself_may_have_been_judged_as_well() -> None:
    assert ask(REFUSED_LATER) == (None, [None])
