"""The seat: what one screen shows, and what becomes of each touch. One person at a time, asked of the server in turn.

Everything that belongs to a person is in one `_Stay`, which is left behind when they leave: a request that is still on
its way then ends by itself, and the visit that it may have opened is closed.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import structlog

from ussd_server.kiosk import protocol
from ussd_server.kiosk.protocol import Language, Purpose, State, Trouble, View
from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client import (
    Busy,
    Expired,
    Locked,
    Refused,
    Rejected,
    Screen,
    ScreenChanged,
    TerminalClient,
    TerminalError,
    Unreachable,
    Visit,
    VisitOver,
)

BYE_S: Final = 6.0
"""How long the last view stays: long enough to read it."""
NATIONAL_DIGITS: Final = {"7": 10, "1": 10}
"""Digits of a number after its country code, where they are always as many."""
KEY_OCTETS: Final = 18

_OVERLOAD: Final = frozenset({"busy", "too-many-requests", "request-in-progress", "check-in-progress"})
CLOSED: Final = frozenset({"terminal-quarantined", "key-unknown", "signature-invalid", "signature-late", "entry-late"})
"""Problems of a terminal that can serve nobody until its operator has done something."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Manner:
    """How a kiosk treats people. `idle_s`: seconds without a touch until it goes back to the start, of which the last
    `warn_s` are counted down. `language` is what a new person reads; `hint` a number to try, where it is a demo."""

    idle_s: float = 60.0
    warn_s: float = 15.0
    bye_s: float = BYE_S
    language: Language = "ru"
    country: str = "7"
    hint: str = ""


Listener: TypeAlias = Callable[[State], None]
Act: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Stay:
    """One person: what they typed (never the code) and where they are."""

    view: View = "start"
    purpose: Purpose | None = None
    msisdn: str = ""
    attempts_left: int | None = None
    locked_until: int = 0
    problem: Trouble = ""
    visit: Visit | None = None
    screen: Screen | None = None
    again: Act | None = field(default=None, repr=False)
    asked_again: bool = False


class Seat:
    """One screen. `take` a command; each `listener` is told the state whenever it changes."""

    def __init__(
        self,
        manner: Manner,
        now: Callable[[], int],
        unreached: Callable[[], None] = lambda: None,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """Show the start; `reached` brings what it asks. `now` is the time in ms; `unreached` is called when the server
        could not be reached, `refused` when it says that this terminal may not serve."""
        self.listeners: set[Listener] = set()
        self._client: TerminalClient | None = None
        self._manner = manner
        self._now = now
        self._unreached = unreached
        self._refused = refused
        self._serves = True
        self._language: Language = manner.language
        self._stay = _Stay()
        self._step = 1
        self._online = False
        self._work: asyncio.Task[None] | None = None
        self._left: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._back_at = 0

    @property
    def free(self) -> bool:
        """Whether nobody is being served."""
        return self._stay.view in ("start", "bye", "closed")

    def state(self) -> State:
        """Return all that is on show."""
        stay, manner = self._stay, self._manner
        working = self._work is not None
        return State(
            step=self._step,
            view=stay.view,
            language=self._language,
            now=self._now(),
            online=self._online,
            working=working,
            country=manner.country,
            digits=NATIONAL_DIGITS.get(manner.country, 0),
            back_at=0 if working else self._back_at,
            warn_ms=0 if stay.view == "bye" else round(1000 * manner.warn_s),
            purpose=stay.purpose,
            msisdn=stay.msisdn,
            attempts_left=stay.attempts_left if stay.view == "code" else None,
            locked_until=stay.locked_until if stay.view == "locked" else 0,
            problem=stay.problem if stay.view == "trouble" else "",
            in_visit=stay.visit is not None,
            hint=manner.hint if stay.view == "number" else "",
            screen=stay.screen if stay.view == "screen" else None,
        )

    def take(self, command: protocol.AnyCommand) -> None:
        """Do what was touched. What does not fit what is on show does nothing."""
        match command:
            case protocol.Touch():
                if not self.free:
                    self._rest()
            case protocol.Leave():
                self.leave("start" if self.free else "bye")
            case protocol.Speak(language):
                self._speak(language)
            case _ if self._work is None and command.step == self._step and self._client is not None:
                self._lead_on(command, self._client)
        self._tell()

    def reached(self, client: TerminalClient, online: bool) -> None:
        """Learn whether the server can be reached. Who waits for it goes on by itself, once."""
        self._client = client
        stay = self._stay
        waits = stay.view == "trouble" and stay.problem == "unreachable" and not stay.asked_again
        if online and waits and self._work is None and stay.again is not None:
            self._do(stay.again)
            stay.asked_again = True
        elif self._online == online:
            return
        self._online = online
        self._tell()

    def serves(self, may: bool) -> None:
        """Learn whether this terminal may serve. While it may not, nothing else is shown, and who is there is left."""
        if self._serves != may:
            self._serves = may
            self.leave()

    def leave(self, view: View = "start") -> None:
        """Leave the person behind and show `view`; their visit is closed."""
        stay, work = self._stay, self._work
        view = view if self._serves else "closed"
        self._stay = _Stay(view)
        self._work = None
        if view in ("start", "closed"):
            self._language = self._manner.language
        self._step += 1
        self._rest()
        if work is not None:
            self._keep(work)  # it closes the visit when it comes to its end
        elif stay.visit is not None:
            self._keep(asyncio.create_task(_close(stay.visit)))
        self._tell()

    async def close(self) -> None:
        """Leave, and wait until every visit is closed or cannot be."""
        self.leave()
        await asyncio.gather(*self._left, return_exceptions=True)

    def _lead_on(self, command: protocol.AnyCommand, client: TerminalClient) -> None:
        stay = self._stay
        match stay.view, command:
            case "start", protocol.Choose(_, what):
                stay.purpose = what
                self._go("number")
            case "number", protocol.Number(_, msisdn):
                stay.msisdn = msisdn
                if stay.purpose == "order":
                    key = _new_key()
                    self._do(lambda: self._order(stay, client, key))
                else:
                    self._go("code")
            case "expired", protocol.GoOn():
                key = _new_key()
                self._do(lambda: self._order(stay, client, key))
            case (("ordered" | "over"), protocol.GoOn()):
                self._go("code")
            case "code", protocol.Code(_, typed):
                key, code = _new_key(), Secret(typed)
                self._do(lambda: self._open(stay, client, code, key))
            case "screen", protocol.Enter(_, text) if stay.visit is not None and stay.screen is not None:
                visit, screen, key = stay.visit, stay.screen.id, _new_key()
                self._do(lambda: self._enter(stay, visit, screen, text, key))
            case "screen", protocol.Menu() if stay.visit is not None:
                self._begin(stay, stay.visit)
            case "trouble", protocol.Again() if stay.again is not None:
                self._do(stay.again)
            case (("ordered" | "code"), protocol.Back()):
                stay.attempts_left = None
                self._go("number")
            case "number", protocol.Back():
                self.leave()

    def _speak(self, language: Language) -> None:
        stay = self._stay
        if self._work is not None or language == self._language:
            return
        self._language = language
        if stay.visit is not None and stay.view == "screen":
            self._begin(stay, stay.visit)
        self._rest()

    # What is asked of the server --------------------------------------------------------------------------------

    async def _order(self, stay: _Stay, client: TerminalClient, key: str) -> None:
        await client.order_code(stay.msisdn, key=key)
        self._show(stay, "ordered")

    async def _open(self, stay: _Stay, client: TerminalClient, code: Secret[str], key: str) -> None:
        match await client.open(stay.msisdn, code, self._language, key=key):
            case Visit() as visit:
                stay.visit, stay.attempts_left = visit, None
                self._show(stay, "screen", visit.screen)
            case Rejected(attempts_left):
                stay.attempts_left = attempts_left
                self._show(stay, "code")
            case Locked(until):
                stay.locked_until = until
                self._show(stay, "locked")
            case Expired():
                self._show(stay, "expired")
            case Busy():
                self._fail(stay, "busy")

    def _begin(self, stay: _Stay, visit: Visit) -> None:
        language, key = self._language, _new_key()

        async def begin() -> None:
            self._answer(stay, await visit.begin(language, key=key))

        self._do(begin)

    async def _enter(self, stay: _Stay, visit: Visit, screen: int, text: str, key: str) -> None:
        shown = await visit.enter(text, screen=screen, key=key)
        if isinstance(shown, ScreenChanged):
            # An answer was lost for good, so that another screen is on show there: the menu is known to both.
            shown = await visit.begin(self._language)
        self._answer(stay, shown)

    def _answer(self, stay: _Stay, shown: Screen | VisitOver) -> None:
        if isinstance(shown, VisitOver):
            stay.visit = None
            self._show(stay, "over")
        else:
            self._show(stay, "screen", shown)

    def _do(self, act: Act) -> None:
        """Ask the server something; what is asked again in trouble is the very same, under the same key."""
        self._stay.again, self._stay.asked_again = act, False
        self._work = asyncio.create_task(self._carry_out(self._stay, act))
        self._rest()

    async def _carry_out(self, stay: _Stay, act: Act) -> None:
        try:
            await act()
        except TerminalError as error:
            self._fail(stay, _trouble(error))
            log.warning("kiosk got no answer", cause=str(error))
        except Exception:
            self._fail(stay, "failed")
            log.exception("kiosk failed")
        finally:
            # A defect must not leave the person before a screen that waits for ever.
            if stay is self._stay:
                self._work = None
                self._rest()
                self._tell()
        if stay is not self._stay and stay.visit is not None:  # who asked has left meanwhile
            await _close(stay.visit)

    # What is on show --------------------------------------------------------------------------------------------

    def _show(self, stay: _Stay, view: View, screen: Screen | None = None) -> None:
        stay.screen, stay.again = screen, None
        if stay is self._stay:
            self._go(view)

    def _fail(self, stay: _Stay, problem: Trouble) -> None:
        stay.problem = problem
        if stay is self._stay:
            self._go("trouble")
        if problem == "unreachable":
            self._unreached()
        elif problem == "closed":
            self._refused()

    def _go(self, view: View) -> None:
        self._stay.view = view
        self._step += 1
        self._rest()

    def _rest(self) -> None:
        """Count the time without a touch anew; while the server is asked, the person waits and nothing runs out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._back_at = 0
        if self._stay.view in ("start", "closed") or self._work is not None:
            return
        seconds = self._manner.bye_s if self._stay.view == "bye" else self._manner.idle_s
        self._back_at = self._now() + round(1000 * seconds)
        self._timer = asyncio.get_running_loop().call_later(seconds, self.leave)

    def _tell(self) -> None:
        state = self.state()
        for listener in tuple(self.listeners):
            listener(state)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._left.add(task)
        task.add_done_callback(self._left.discard)


async def _close(visit: Visit) -> None:
    try:
        await visit.close()
    except TerminalError as error:
        log.warning("visit left to end when idle", cause=str(error))


def _trouble(error: TerminalError) -> Trouble:
    """Return what to tell the person, who can do nothing about most of it."""
    match error:
        case Unreachable(problem=None):
            return "unreachable"
        case Unreachable(problem=problem) | Refused(problem=problem) if problem is not None:
            if problem.name in _OVERLOAD or problem.status == 429:
                return "busy"
            if problem.name in CLOSED:
                return "closed"
            return "unavailable" if isinstance(error, Unreachable) else "failed"
    return "failed"


def _new_key() -> str:
    """Return an Idempotency-Key for one thing that a person does."""
    return secrets.token_urlsafe(KEY_OCTETS)
