"""What the kiosk's page and its process say to each other: JSON texts over one WebSocket, on this machine.

The process decides what is on show and tells it whole, as a `State`; the page draws it and says what was touched, as
one of the commands. A state has a number, and a command that leads on names the state it answers: what comes twice, or
comes for a state that has gone (a double tap, a second window), does nothing. So a page that was loaded again shows
what it showed before, and the page keeps nothing.

    {"do": "choose", "step": 3, "what": "enter"}  ->
    <-  {"type": "state", "step": 4, "view": "number", "language": "ru", "purpose": "enter", ...}

| view      | what it shows                                       | commands that lead on                   |
|-----------|-----------------------------------------------------|-----------------------------------------|
| `start`   | what can be done here                               | choose                                  |
| `number`  | a pad for the telephone number                      | number, back                            |
| `ordered` | that the code comes by SMS, or how to activate      | go_on (to `code`), back                 |
| `code`    | a pad for the code (`attempts_left` after a wrong)  | code, back                              |
| `locked`  | when access opens again (`locked_until`)            |                                         |
| `expired` | that the code is too old                            | go_on (orders one, to `ordered`)        |
| `screen`  | a screen of the service (`screen`)                  | enter, menu                             |
| `trouble` | why it does not go on (`problem`)                   | again                                   |
| `over`    | that the visit has ended                            | go_on (to `code`)                       |
| `bye`     | that all is closed; goes to `start` by itself       |                                         |
| `closed`  | that the terminal may not serve, until it may       |                                         |

`leave` (to the start, the visit closed), `speak` (the language) and `touch` (somebody is there) fit everywhere.
While `working`, an answer of the server is awaited, and commands that lead on are ignored.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from ussd_server.terminals.messages import Screen

Language: TypeAlias = Literal["ru", "en"]
Purpose: TypeAlias = Literal["order", "enter"]
View: TypeAlias = Literal[
    "start", "number", "ordered", "code", "locked", "expired", "screen", "trouble", "over", "bye", "closed"
]
Trouble: TypeAlias = Literal["", "unreachable", "unavailable", "busy", "closed", "failed"]
"""Why it does not go on: no way to the server, a part of it away, too much to do, a terminal that may not, a defect."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """What was touched on the page."""


class Touch(Command, frozen=True, tag="touch"):
    """Somebody is there: the idle time begins anew."""


class Leave(Command, frozen=True, tag="leave"):
    """Card out: close the visit, go to the start."""


class Speak(Command, frozen=True, tag="speak"):
    """Change the language. Within a visit this leads to the service's menu in that language."""

    language: Language


class Choose(Command, frozen=True, tag="choose"):
    """Begin: order a code, or enter one."""

    step: int
    what: Purpose


class Number(Command, frozen=True, tag="number"):
    """The telephone number, E.164 digits without +."""

    step: int
    msisdn: Annotated[str, Meta(pattern="^[1-9][0-9]{6,14}$")]


class Code(Command, frozen=True, tag="code"):
    """The access code that was typed."""

    step: int
    code: Annotated[str, Meta(pattern="^[0-9]{4,16}$")]


class Enter(Command, frozen=True, tag="enter"):
    """What was entered on the service's screen: the key of an option or of the navigation, digits or text."""

    step: int
    text: Annotated[str, Meta(max_length=160)]


class Menu(Command, frozen=True, tag="menu"):
    """Go to the service's first screen."""

    step: int


class GoOn(Command, frozen=True, tag="go_on"):
    """Go on to the entry of the code."""

    step: int


class Again(Command, frozen=True, tag="again"):
    """Ask the server the same again."""

    step: int


class Back(Command, frozen=True, tag="back"):
    """One view back, before the visit."""

    step: int


AnyCommand: TypeAlias = Touch | Leave | Speak | Choose | Number | Code | Enter | Menu | GoOn | Again | Back


class State(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="state"):
    """All that the page shows. Times are milliseconds since 1970 UTC.

    `online`: the server was reached at the last attempt. `country` is the code before each number that is typed, and
    `digits` how many follow (0: it varies). `back_at` is when an untouched screen goes back to the start (0: never),
    `warn_ms` how long before it the page says so; `now` is the process's clock, for the page's countdown. `hint` is a
    number to try.
    """

    step: int
    view: View
    language: Language
    now: int
    online: bool
    working: bool
    country: str
    digits: int
    back_at: int = 0
    warn_ms: int = 0
    purpose: Purpose | None = None
    msisdn: str = ""
    attempts_left: int | None = None
    locked_until: int = 0
    problem: Trouble = ""
    in_visit: bool = False
    hint: str = ""
    screen: Screen | None = None
