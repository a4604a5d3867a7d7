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
| our answer was accepted by the gateway on this link | new: nobody repeats what was answered |
| anything else | a repetition: showing a screen twice is harmless, acting twice is not |
"""

from ussd_server.subscriber import Exchange

USSD_WINDOW_MS = 180_000
"""No gateway keeps a USSD dialogue longer (Phase 2 timers end one after at most ten minutes, usually three)."""

SMS_WINDOW_MS = 120_000
"""An SMS of the same text after this is more likely meant than repeated; each of its effects is idempotent anyway."""


def is_repetition(
    last: Exchange,
    dialogue: str,
    input: bytes,
    link: str,
    sequence: int,
    step: int,
    now: int,
    window_ms: int,
    accepted: bool,
) -> bool:
    """Tell whether this input is the one that `last` already answered (see the module's table).

    `accepted` says that the gateway took our answer to `last` on the link that is up now. `step` is the network's
    count within the dialogue, -1 where it sends none, `input` the digest of what was typed.
    """
    if last.dialogue != dialogue or last.input != input or now - last.at > window_ms:
        return False
    if last.link == link and last.sequence == sequence:
        return True
    if step >= 0 and last.step >= 0:
        if step != last.step:
            return False
        if last.counts:
            return True
    return not (accepted and last.link == link)


def counts_steps(last: Exchange | None, dialogue: str, step: int) -> bool:
    """Tell whether this network has been seen to change its count within the dialogue."""
    if last is None or last.dialogue != dialogue:
        return False
    return last.counts or (step >= 0 and last.step >= 0 and step != last.step)
