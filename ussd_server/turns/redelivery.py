"""Whether an input is new, or one that was already answered and comes again.

A gateway repeats a message whose response it missed: over another link after a reconnect, or over the same one after
its timer. SMPP gives a repetition no mark of its own, and subscribers do answer `1` twice in a row, so the text alone
proves nothing. What does, in this order:

| what is known | then it is |
|---|---|
| other dialogue or other text, or too long ago | new |
| same link and same PDU sequence number | a repetition |
| the network counts its steps, and the count differs | new |
| the network counts its steps, and the count is the same | a repetition |
| our answer was accepted by the gateway on a link that is still bound | new: nobody repeats what was answered |
| anything else | a repetition: showing a screen twice is harmless, acting twice is not |

An SMS of which the last row is said, and which would answer a question asked since, is not passed over: the question is
asked again, and the answer to that is new.
"""

from typing import Final, Literal

from ussd_server.channels.base import Answer, Input
from ussd_server.subscribers.record import Exchange

USSD_WINDOW_MS = 180_000
"""No gateway keeps a USSD dialogue longer (Phase 2 timers end one after at most ten minutes, usually three)."""

SMS_REMEMBERED = 8
"""SMS of one subscriber that are known again; nobody writes more in the window and waits for each to be lost."""

SMS_WINDOW_MS = 120_000
"""An SMS of the same text after this is more likely meant than repeated."""


ENDINGS: Final = ("drop", "confirm")
"""Kinds of inputs that end something, and are answered by nothing."""

_LATER: Final = ("reply", *ENDINGS)
"""Kinds of inputs that belong to a dialogue that is under way."""


def standing(last: Exchange | None, input: Input, typed: bytes) -> Literal["new", "repeated", "stale"]:
    """Tell how an input stands to the exchange before it, `last`.

    One that is stale belongs to a dialogue that is over; the one that followed must not be touched by it.
    """
    if last is None:
        return "stale" if input.kind == "confirm" else "new"  # of nothing that we know to have pushed
    if last.dialogue != input.dialogue:
        return "stale" if input.kind in _LATER else "new"
    if last.input == typed and _comes_again(last, input):
        return "repeated"
    return "stale" if input.kind == "confirm" and input.text != "closes" else "new"


def is_repetition(last: Exchange, input: Input, typed: bytes) -> bool:
    """Tell whether this input is the one that `last` already answered (see the module's table).

    `typed` is the digest of what was typed.
    """
    return last.dialogue == input.dialogue and last.input == typed and _comes_again(last, input)


def _comes_again(last: Exchange, input: Input) -> bool:
    """Tell whether an input of the same dialogue and text is the one that `last` answered."""
    if input.at - last.at > (SMS_WINDOW_MS if input.kind == "message" else USSD_WINDOW_MS):
        return False
    same_link = last.link == input.link
    if same_link and last.sequence == input.sequence:
        return True
    if input.step >= 0 and last.step >= 0:
        if input.step != last.step:
            return False
        if last.counts:
            return True
    return not (input.accepted if same_link else last.link in input.others)


def is_same_pdu(last: Exchange, input: Input) -> bool:
    """Tell whether the very PDU that `last` answered comes again by its link."""
    return last.link == input.link and last.sequence == input.sequence


def place(input: Input, typed: bytes) -> str:
    """Return under which name the exchange is kept: one a channel, but one a number and text by SMS.

    A USSD dialogue has one input at a time. An SMSC that was away repeats all that it has, in any order.
    """
    return f"sms {input.number} {typed.hex()}" if input.kind == "message" else input.channel.name


def remember(
    exchanges: dict[str, Exchange], name: str, last: Exchange | None, input: Input, typed: bytes, answer: Answer
) -> dict[str, Exchange]:
    """Return the exchanges with that of this input, which follows `last`, so that a repetition of it is known."""
    counts = False
    if last is not None and last.dialogue == input.dialogue:
        # A network counts where its count was once seen to change within a dialogue.
        counts = last.counts or (input.step != last.step and input.step >= 0 and last.step >= 0)
    exchange = Exchange(
        input.dialogue,
        input.link,
        input.sequence,
        input.step,
        counts,
        input.at,
        typed,
        answer.text,
        answer.ends,
        answer.pushed,
    )
    if len(exchanges) == (name in exchanges):  # nearly always: there is no other
        return {name: exchange}
    return _among(exchanges, name, exchange)


def _among(exchanges: dict[str, Exchange], name: str, exchange: Exchange) -> dict[str, Exchange]:
    """Return the exchanges with one more, without SMS that are too old or too many to be looked at again."""
    kept = {**exchanges, name: exchange}
    if name.startswith("sms "):
        del kept[name]
        kept[name] = exchange  # the newest last
        others = [other for other in kept if other.startswith("sms ")]
        for old in others[:-SMS_REMEMBERED]:
            del kept[old]
        for other in others[-SMS_REMEMBERED:]:
            if exchange.at - kept[other].at > SMS_WINDOW_MS:
                del kept[other]
    return kept
