"""What a seat shows for each answer of the server, and that whoever leaves leaves nothing open."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ussd_server.kiosk import protocol
from ussd_server.kiosk.protocol import Again, Back, Choose, Code, Enter, GoOn, Leave, Menu, Number, Speak, State, Touch
from ussd_server.kiosk.seat import Manner, Seat
from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client import (
    Busy,
    Locked,
    ProblemDetails,
    Refused,
    Rejected,
    Screen,
    ScreenChanged,
    TerminalError,
    Unreachable,
    Untrusted,
    VisitOver,
)
from ussd_server.terminal_client import Visit as RealVisit

NUMBER, CODE = "79100000001", "12345678"


def screen(id: int, **fields: Any) -> Screen:
    whole = {"kind": "menu", "title": "", "text": f"screen {id}", "options": [], "navigation": [], "input": "choice"}
    return Screen(id=id, **{**whole, "secret": False, "ends": False, **fields})


@dataclass
class Server:
    """A client whose answers are put in beforehand; what is asked is kept, with its key."""

    answers: list[Any] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def _answer(self, key: str | None, *asked: Any) -> Any:
        self.asked.append(asked)
        self.keys.append(key)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def order_code(self, msisdn: str, *, key: str | None = None) -> None:
        await self._answer(key, "order", msisdn)

    async def open(self, msisdn: str, code: Secret[str], language: str, *, key: str | None = None) -> Any:
        assert isinstance(code, Secret)
        return await self._answer(key, "open", msisdn, code.reveal(), language)


class Visit(RealVisit):
    """A visit at that client."""

    def __init__(self, server: Server, shown: Screen) -> None:
        self.server, self.screen, self.idle_seconds, self.closed = server, shown, 180, 0

    async def begin(self, language: Any = None, *, key: str | None = None) -> Any:
        return await self.server._answer(key, "begin", language)

    async def enter(self, text: str, *, screen: int | None = None, key: str | None = None) -> Any:
        return await self.server._answer(key, "enter", screen, text)

    async def close(self) -> None:
        self.closed += 1


class Place:
    """A seat with that client, and what it shows."""

    def __init__(self, server: Server, **manner: Any) -> None:
        self.server = server
        self.states: list[State] = []
        self.unreached = 0
        self.refused = 0
        self.seat = Seat(Manner(**manner), lambda: 1_000_000, self._unreached, self._refused)
        self.seat.listeners.add(self.states.append)
        self.seat.reached(server, True)  # type: ignore[arg-type]

    @property
    def shown(self) -> State:
        return self.seat.state()

    def _unreached(self) -> None:
        self.unreached += 1

    def _refused(self) -> None:
        self.refused += 1

    async def do(self, command: Callable[..., protocol.AnyCommand], *values: Any) -> State:
        """Touch, and wait until what was asked is answered."""
        self.seat.take(command(self.shown.step, *values))
        return await self.settled()

    async def settled(self) -> State:
        while self.shown.working:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.shown

    async def at_code(self) -> None:
        await self.do(Choose, "enter")
        await self.do(Number, NUMBER)
        assert self.shown.view == "code"

    async def in_visit(self) -> Visit:
        visit = Visit(self.server, screen(1))
        self.server.answers.insert(0, visit)
        await self.at_code()
        await self.do(Code, CODE)
        assert self.shown.view == "screen"
        return visit


def play(scene: Callable[[Place], Awaitable[None]], **manner: Any) -> None:
    async def whole() -> None:
        place = Place(Server(), **manner)
        await scene(place)
        await place.seat.close()

    asyncio.run(whole())


def unreachable(name: str | None = None) -> Unreachable:
    problem = None if name is None else ProblemDetails(f"/problems/{name}", status=503)
    return Unreachable("away", key="k", problem=problem)


def test_a_code_is_ordered_and_entered() -> None:
    async def scene(place: Place) -> None:
        visit = Visit(place.server, screen(7))
        place.server.answers = [None, visit]
        assert (await place.do(Choose, "order")).view == "number"
        assert (await place.do(Number, NUMBER)).view == "ordered"
        assert (await place.do(GoOn)).view == "code"
        shown = await place.do(Code, CODE)
        assert (shown.view, shown.screen, shown.in_visit) == ("screen", screen(7), True)
        assert place.server.asked == [("order", NUMBER), ("open", NUMBER, CODE, "ru")]
        assert len(set(place.server.keys)) == 2
        assert CODE not in repr(place.seat._stay)

    play(scene)


def test_a_wrong_code_a_lock_and_the_way_back() -> None:
    async def scene(place: Place) -> None:
        place.server.answers = [Rejected(2), Locked(99)]
        await place.at_code()
        shown = await place.do(Code, "00000000")
        assert (shown.view, shown.attempts_left) == ("code", 2)
        assert (await place.do(Back)).view == "number"
        assert (await place.do(Number, NUMBER)).attempts_left is None
        shown = await place.do(Code, "00000000")
        assert (shown.view, shown.locked_until, shown.in_visit) == ("locked", 99, False)

    play(scene)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (unreachable(), "unreachable"),
        (unreachable("unavailable"), "unavailable"),
        (unreachable("internal"), "unavailable"),
        (unreachable("busy"), "busy"),
        (unreachable("request-in-progress"), "busy"),
        (Refused(ProblemDetails("/problems/too-many-requests", status=429)), "busy"),
        (Refused(ProblemDetails("/problems/terminal-quarantined", status=403)), "closed"),
        (Refused(ProblemDetails("/problems/key-unknown", status=401)), "closed"),
        (Refused(ProblemDetails("/problems/signature-late", status=401)), "closed"),
        (Refused(ProblemDetails("/problems/invalid-request", status=400)), "failed"),
        (Untrusted("not the server", key="k"), "failed"),
        (TerminalError("another shape"), "failed"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_what_goes_wrong_is_said_and_asked_again_under_the_same_key(error: Exception, problem: str) -> None:
    async def scene(place: Place) -> None:
        visit = Visit(place.server, screen(1))
        place.server.answers = [error, visit]
        await place.at_code()
        shown = await place.do(Code, CODE)
        assert (shown.view, shown.problem) == ("trouble", problem)
        assert (await place.do(Again)).view == "screen"
        assert place.server.keys[0] == place.server.keys[1]
        assert place.server.asked[0] == place.server.asked[1]

    play(scene)


def test_who_waits_for_the_server_goes_on_by_itself_once() -> None:
    async def scene(place: Place) -> None:
        place.server.answers = [unreachable(), unreachable(), Busy()]
        await place.at_code()
        await place.do(Code, CODE)
        assert place.unreached == 1
        place.seat.reached(place.server, False)  # type: ignore[arg-type]
        assert not place.shown.online
        place.seat.reached(place.server, True)  # type: ignore[arg-type]
        assert (await place.settled()).view == "trouble"
        assert len(place.server.asked) == 2
        place.seat.reached(place.server, True)  # type: ignore[arg-type]
        await place.settled()
        assert len(place.server.asked) == 2  # nobody may be there any more: the screen is to run out
        assert (await place.do(Again)).problem == "busy"

    play(scene)


def test_a_touch_that_comes_twice_acts_once() -> None:
    async def scene(place: Place) -> None:
        await place.in_visit()
        place.server.answers = [screen(2), screen(3)]
        step = place.shown.step
        place.seat.take(Enter(step, "1"))
        place.seat.take(Enter(step, "1"))
        await place.settled()
        place.seat.take(Enter(step, "1"))
        assert (await place.settled()).screen == screen(2)
        assert place.server.asked[1:] == [("enter", 1, "1")]

    play(scene)


def test_a_screen_that_the_server_no_longer_shows_leads_to_the_menu() -> None:
    async def scene(place: Place) -> None:
        await place.in_visit()
        place.server.answers = [ScreenChanged(screen(1)), screen(9)]
        assert (await place.do(Enter, "1")).screen == screen(9)
        assert place.server.asked[-1] == ("begin", "ru")

    play(scene)


def test_a_visit_that_is_over_asks_for_the_code_again() -> None:
    async def scene(place: Place) -> None:
        visit = await place.in_visit()
        place.server.answers = [VisitOver()]
        shown = await place.do(Menu)
        assert (shown.view, shown.in_visit) == ("over", False)
        assert (await place.do(GoOn)).view == "code"
        place.seat.take(Leave())
        await place.settled()
        assert visit.closed == 0

    play(scene)


def test_the_language_leads_to_the_menu_in_it_and_is_russian_for_the_next() -> None:
    async def scene(place: Place) -> None:
        visit = await place.in_visit()
        place.server.answers = [screen(2)]
        place.seat.take(Speak("en"))
        assert (await place.settled()).screen == screen(2)
        assert place.server.asked[-1] == ("begin", "en")
        place.seat.take(Leave())
        assert (place.shown.view, place.shown.language) == ("bye", "en")
        place.seat.take(Leave())
        assert (place.shown.view, place.shown.language, place.shown.msisdn) == ("start", "ru", "")
        await place.settled()
        assert visit.closed == 1

    play(scene)


@pytest.mark.parametrize("way", ["finish", "time"])
def test_who_leaves_while_the_code_is_checked_leaves_no_visit_open(way: str) -> None:
    async def scene(place: Place) -> None:
        visit = Visit(place.server, screen(1))
        place.server.answers = [visit]
        place.server.gate = asyncio.Event()
        await place.at_code()
        place.seat.take(Code(place.shown.step, CODE))
        await asyncio.sleep(0)
        place.seat.take(Leave()) if way == "finish" else place.seat.leave()
        assert place.shown.view == ("bye" if way == "finish" else "start")
        place.server.gate.set()
        await place.seat.close()
        assert visit.closed == 1
        assert not place.shown.in_visit
        assert place.shown.screen is None

    play(scene)


def test_an_untouched_screen_goes_back_and_a_touch_begins_the_time_anew() -> None:
    async def scene(place: Place) -> None:
        visit = await place.in_visit()
        timer = place.seat._timer
        place.seat._manner = Manner(idle_s=0.05, warn_s=0.02)  # only now: what came before takes its time
        place.seat.take(Touch())
        assert (place.shown.back_at, place.shown.warn_ms) == (1_000_000 + 50, 20)
        assert timer is not None
        assert timer.cancelled()
        while place.shown.view != "start":
            await asyncio.sleep(0.005)
        await place.settled()
        assert visit.closed == 1
        assert place.shown.back_at == 0

    play(scene)


def test_nothing_runs_out_while_the_server_is_asked() -> None:
    async def scene(place: Place) -> None:
        place.server.answers = [None]
        place.server.gate = asyncio.Event()
        await place.do(Choose, "order")
        place.seat.take(Number(place.shown.step, NUMBER))
        assert place.shown.working
        assert place.shown.back_at == 0
        assert place.seat._timer is None
        place.server.gate.set()
        assert (await place.settled()).view == "ordered"
        assert place.seat._timer is not None

    play(scene)


def test_commands_that_do_not_fit_do_nothing() -> None:
    async def scene(place: Place) -> None:
        for command in (GoOn, Again, Menu, Back):
            assert (await place.do(command)).view == "start"
        assert (await place.do(Code, CODE)).view == "start"
        assert (await place.do(Enter, "1")).view == "start"
        assert place.server.asked == []

    play(scene)


def test_a_terminal_that_may_not_serve_shows_that_and_nothing_else_until_it_may() -> None:
    async def scene(place: Place) -> None:
        visit = Visit(place.server, screen(1))
        place.server.answers = [visit]
        await place.at_code()
        assert (await place.do(Code, CODE)).view == "screen"
        place.seat.serves(False)
        await place.settled()
        shown = place.states[-1]
        assert (shown.view, shown.screen, shown.msisdn, shown.in_visit, shown.back_at) == ("closed", None, "", False, 0)
        assert visit.closed == 1
        assert place.seat.free
        for command, *values in ((Choose, "enter"), (Number, NUMBER), (Again,), (Back,)):
            assert (await place.do(command, *values)).view == "closed"
        for touched in (Touch(), Leave(), Speak("en")):
            place.seat.take(touched)
            assert place.shown.view == "closed"
        place.seat.serves(True)
        assert (place.shown.view, place.shown.language) == ("start", "ru")
        assert len(place.server.asked) == 1

    play(scene)


def test_who_has_said_goodbye_is_not_shown_the_start_of_a_terminal_that_may_not_serve() -> None:
    async def scene(place: Place) -> None:
        await place.at_code()
        place.seat.take(Leave())
        place.seat.serves(False)
        assert place.shown.view == "closed"
        place.seat.leave()
        assert place.shown.view == "closed"

    play(scene)


@pytest.mark.parametrize("name", ["terminal-quarantined", "key-unknown"])
def test_a_refusal_of_the_terminal_is_looked_into_at_once(name: str) -> None:
    async def scene(place: Place) -> None:
        place.server.answers = [Refused(ProblemDetails(type=f"/problems/{name}", status=403)), unreachable("busy")]
        await place.at_code()
        assert (await place.do(Code, CODE)).problem == "closed"
        assert place.refused == 1
        assert (await place.do(Again)).problem == "busy"
        assert (place.refused, place.unreached) == (1, 0)

    play(scene)
