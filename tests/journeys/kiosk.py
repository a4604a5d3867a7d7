"""A person at a payment terminal, for journeys: what they do there, and what they read on it."""

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec

from tests.ussd_server.terminals.hall import HALL, Hall
from tests.ussd_server.turns.bench import Bench
from ussd_server.terminals import messages
from ussd_server.terminals.desk import Outcome
from ussd_server.terminals.problems import Problem
from ussd_server.terminals.record import Terminal


class Kiosk:
    """One terminal of a hall; it goes on with whoever's visit was opened last."""

    def __init__(self, bench: Bench) -> None:
        self._hall = Hall(bench, bench.store)
        self._codes: dict[str, str] = {}
        self._visit = ""
        self._screen = 0
        self._order = ""
        self._verbs: dict[str, Callable[[str, str], Awaitable[list[str]]]] = {
            "order-code": self._order_code,
            "open": self._open,
            "press": self._press,
            "begin": self._begin,
            "order-state": self._order_state,
            "leave": self._leave,
        }

    def reads(self, texts: Sequence[tuple[str, str, str]]) -> None:
        """Remember the passwords that came by SMS."""
        for _, msisdn, text in texts:
            if found := re.search(r"(?<=: )\d{8}(?=\.)", text):
                self._codes[msisdn] = found[0]

    async def does(self, verb: str, what: str, msisdn: str) -> list[str]:
        """Do one thing at the terminal, and return what is then read on it."""
        store = self._hall.bench.store
        if (await store.load_terminal(HALL))[0] is None:
            assert await store.commit_terminal(Terminal(HALL, "Главный зал"), 0)
        return await self._verbs[verb](what, msisdn)

    async def _order_code(self, what: str, msisdn: str) -> list[str]:
        request = await self._hall.request()
        return self._read(await self._hall.desk.order_code(request, messages.OrderCode(msisdn)))

    async def _open(self, what: str, msisdn: str) -> list[str]:
        code = self._codes.get(msisdn, "00000000")
        if what == "wrong":
            code = code[:-1] + str(9 - int(code[-1]))
        return self._read(await self._hall.open(code, msisdn=msisdn))

    async def _press(self, what: str, msisdn: str) -> list[str]:
        return self._read(await self._hall.enter(self._visit, self._screen, what))

    async def _begin(self, what: str, msisdn: str) -> list[str]:
        return self._read(await self._hall.desk.begin(await self._hall.request(), self._visit, messages.Begin()))

    async def _order_state(self, what: str, msisdn: str) -> list[str]:
        return self._read(await self._hall.desk.order_state(await self._hall.request(), self._visit, self._order))

    async def _leave(self, what: str, msisdn: str) -> list[str]:
        return self._read(await self._hall.desk.close_visit(await self._hall.request(), self._visit))

    def _read(self, outcome: Outcome) -> list[str]:
        """Return what an answer says, and keep what the next request needs of it."""
        if isinstance(outcome, Problem):
            return [_refusal(outcome)]
        told = msgspec.json.decode(outcome.body) if outcome.body else {}
        self._visit = told.get("visit", self._visit)
        if "screen" not in told:
            return [f"({told['status']})"] if "status" in told else []
        screen = msgspec.convert(told["screen"], messages.Screen)
        self._screen = screen.id
        lines = [*_lines(screen), *(["(end)"] if screen.ends else [])]
        if told.get("order"):
            self._order = told["order"]
            lines.append("(an order)")
        return lines


def _lines(screen: messages.Screen) -> list[str]:
    said = [line for text in (screen.text, screen.title) if text for line in text.split("\n")]
    return said + [f"{each.key}. {each.label}" for each in (*screen.options, *screen.navigation)]


def _refusal(refused: Problem) -> str:
    more = dict(refused.more)
    if "locked_until" in more:
        until = datetime.fromtimestamp(int(more.pop("locked_until")) / 1000, UTC)
        return f"({refused.kind.name} until {until:%Y-%m-%d %H:%M} UTC)"
    return f"({', '.join([refused.kind.name, *(f'{name}: {value}' for name, value in more.items())])})"
