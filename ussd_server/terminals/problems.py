"""Every way in which a terminal's request can be refused: RFC 9457 problem details, as a table.

A type is one for good: clients decide by it, and `GET /problems/NAME` explains it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

CONTENT_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What is wrong and what to do: HTTP status, a title for people, and the mend.

    `again`: the same request, with the same Idempotency-Key, may be sent again after Retry-After seconds.
    """

    name: str
    status: int
    title: str
    mend: str
    again: bool = False

    @property
    def uri(self) -> str:
        """The `type` member: relative to the server, which explains it there."""
        return f"/problems/{self.name}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal. `more` are extension members (`attempts_left`, `locked_until`); `retry_after` in seconds.

    Where there is no `detail` to this one, its type's mend is told in its place.
    """

    kind: ProblemType
    detail: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    retry_after: int | None = None


_ASK_AGAIN: Final = "Ask again: it may have been done, and is not done twice."

_ALL: Final = (
    # The request as a message
    ProblemType(
        "unreadable-request",
        400,
        "The request cannot be read as HTTP",
        "Send HTTP/1.1, no line of the head over 8 KiB. As no request could be read, this answer is not signed.",
    ),
    ProblemType("invalid-request", 400, "The request is not what this operation takes", "Mend what `detail` names."),
    ProblemType("not-found", 404, "There is nothing here", "See /openapi.json for what there is."),
    ProblemType("method-not-allowed", 405, "This cannot be done here", "See the Allow header."),
    ProblemType("too-slow", 408, "The request did not arrive in time", "Send it whole, within ten seconds."),
    ProblemType("too-large", 413, "The request is too large", "No request needs more than 16 KiB."),
    ProblemType("unsupported-media-type", 415, "The body is not JSON", "Send application/json."),
    # Who sent it
    ProblemType("signature-missing", 401, "The request is not signed", "Sign it as RFC 9421 says, with Ed25519."),
    ProblemType("signature-invalid", 401, "The signature does not fit", "Sign all that is required, as it is sent."),
    ProblemType("signature-late", 401, "The signature is too old or from the future", "Set the clock; sign anew."),
    ProblemType("nonce-used", 401, "This very request was sent before", "Sign anew, with a new nonce."),
    ProblemType("key-unknown", 401, "No active terminal has this key", "Register it: ussd-server terminal add."),
    ProblemType("terminal-quarantined", 403, "This terminal is quarantined", "Ask the operator to look into it."),
    # Repetition
    ProblemType("idempotency-key-missing", 400, "A POST needs an Idempotency-Key", "Send one, new for each action."),
    ProblemType("idempotency-key-reused", 422, "The Idempotency-Key belongs to another request", "Use a new key."),
    ProblemType("request-in-progress", 409, "The first of these requests is still at work", "Ask again.", again=True),
    # The entry of a code
    ProblemType("transport-key-unknown", 400, "The entry is sealed to no key of ours", "GET /v1/keys, seal anew."),
    ProblemType("entry-unreadable", 400, "The sealed entry cannot be read", "Seal it as the documentation says."),
    ProblemType("entry-mismatch", 400, "The sealed entry belongs to another request", "Seal what is sent with it."),
    ProblemType("entry-late", 400, "The entry was sealed too long ago", "Set the clock; let it be entered anew."),
    ProblemType(
        "code-rejected", 403, "The number or the code is wrong", "`attempts_left` says how often it may be tried."
    ),
    ProblemType("code-expired", 403, "The code is right, but too old", "Let a new one be ordered; no try was taken."),
    ProblemType("access-locked", 429, "Access is closed after wrong entries", "It opens at `locked_until`."),
    ProblemType("check-in-progress", 409, "Other entries are being checked", "Ask again.", again=True),
    # The visit
    ProblemType("visit-unknown", 404, "There is no such visit at this terminal", "Let the code be entered anew."),
    ProblemType("screen-changed", 409, "Another screen is on show", "Show the screen of the latest answer."),
    ProblemType("insufficient-funds", 409, "The balance does not cover the price", "Nothing was charged."),
    ProblemType("already-owned", 409, "The subscriber has this already", "Nothing was charged."),
    ProblemType("not-possible", 409, "This cannot be done now", "Nothing was charged. An order may be under way."),
    ProblemType("offering-unknown", 404, "There is no such offering", "Ask for the offerings."),
    ProblemType("quote-unknown", 409, "There is no such quote in this visit", "Ask for the price anew."),
    ProblemType("order-unknown", 404, "There is no such order in this visit", "Use the id that the order was given."),
    # The server
    ProblemType("too-many-requests", 429, "This terminal asks too much", "Wait for Retry-After.", again=True),
    ProblemType("busy", 503, "The server is at its limit", "Ask again.", again=True),
    ProblemType("unavailable", 503, "A part of the server cannot be reached", _ASK_AGAIN, again=True),
    ProblemType("internal", 500, "Something broke on our side", _ASK_AGAIN, again=True),
)

TYPES: Final[Mapping[str, ProblemType]] = {each.name: each for each in _ALL}


def problem(name: str, detail: str = "", *, retry_after: int | None = None, **more: Any) -> Problem:
    """Return a refusal of this type."""
    return Problem(TYPES[name], detail, more, retry_after)


def document(refused: Problem) -> bytes:
    """Return the problem details object, as JSON."""
    kind = refused.kind
    detail = refused.detail or kind.mend
    members: dict[str, Any] = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": detail}
    members.update(refused.more)
    return msgspec.json.encode(members)
