"""Plays a journey through the shipped service and writes down what the subscriber reads.

A journey is a text file in the form of a golden conversation (`menus.scenario`), without what the outside answers: the
service is the real one with the embedded operator, a store on disk and the outbox; only the network is a notebook.

    > dial *111#            > reply 2               > text 111 тарифы       > text 6262
    > drop                  the network ends the dialogue
    > terminal order-code   at a payment terminal: a password is ordered for the subscriber's number,
    > terminal open         entered as it was last read by SMS (`open wrong`: another one),
    > terminal press 2      a screen answered (digits are typed so, too),
    > terminal begin        the first screen asked for,
    > terminal order-state  asked what became of the order that a screen placed last,
    > terminal leave        and the visit ended. A refusal is read by its name, as (access-locked until ...).
    > subscriber 7910...    another phone; its tariff, services and money are in the operator's catalogue
    > operator slow         no answer in time;      > operator well     the answers come;   > operator down
    > wait 25 h             time passes

`python -m tests.journeys.player FILE...` writes the files anew; read the difference before you commit it.
"""

import re
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from menus.compiler import Flow, compile_flow
from tests.journeys.kiosk import Kiosk
from tests.ussd_server.turns.bench import MSISDN, Bench, play
from ussd_server.turns.service import REGISTRY

FLOWS: Final = Path(__file__).parents[2] / "flows.yaml"
UNITS_MS: Final = {"min": 60_000, "h": 3_600_000, "d": 86_400_000}
DEADLINE_MS: Final = 1
"""The embedded operator answers at once or, where it is told to be slow, not at all: no test waits for this."""


def shipped() -> Flow:
    """Compile the shipped service."""
    return compile_flow(FLOWS.read_bytes(), str(FLOWS), REGISTRY)


def transcript(script: str, flow: Flow, directory: Path) -> str:
    """Play a journey's `>` lines and return the file as it should be: comments, what was done, what was read."""
    said: list[str] = []

    async def story(bench: Bench) -> None:
        bench.resources.flow = flow
        player = _Player(bench, directory)
        for line in script.splitlines():
            if line.startswith("#"):
                said.append(line)
            elif line.startswith(">"):
                said.extend(["", line] if said else [line])
                said.extend(await player.does(line[1:].strip()))

    play(directory, story, deadline_ms=DEADLINE_MS)
    return "\n".join(said) + "\n"


class _Player:
    def __init__(self, bench: Bench, directory: Path) -> None:
        self.bench = bench
        self.msisdn = MSISDN
        self.database = directory / "store.db"
        self.kiosk = Kiosk(bench)
        self.read = 0
        self.held = False
        self.verbs: dict[str, Callable[[str], Awaitable[list[str]]]] = {
            "dial": self.dial,
            "reply": self.reply,
            "text": self.text,
            "drop": self.drop,
            "terminal": self.terminal,
            "subscriber": self.subscriber,
            "operator": self.operator,
            "wait": self.wait,
        }

    async def does(self, line: str) -> list[str]:
        """Do what a line says, let everything that follows from it happen, and return what is then read."""
        verb, _, rest = line.partition(" ")
        screen = await self.verbs[verb](rest.strip())
        await self.settle()
        texts = self.bench.network.sms[self.read :]
        self.read = len(self.bench.network.sms)
        self.kiosk.reads(texts)
        return [*screen, *(line for source, _, text in texts for line in (f"SMS from {source}:", *_masked(text)))]

    async def dial(self, code: str) -> list[str]:
        answer = await self.bench.dial(code, msisdn=self.msisdn)
        return _screen(answer.text, answer.ends)

    async def reply(self, text: str) -> list[str]:
        answer = await self.bench.reply(text, msisdn=self.msisdn)
        return _screen(answer.text, answer.ends)

    async def text(self, rest: str) -> list[str]:
        number, _, text = rest.partition(" ")
        answer = await self.bench.text(number, text, msisdn=self.msisdn)
        return _screen(answer.text, False)

    async def drop(self, reason: str) -> list[str]:
        await self.bench.take(self.bench.input("drop", reason or "abort", msisdn=self.msisdn))
        return []

    async def terminal(self, rest: str) -> list[str]:
        verb, _, what = rest.partition(" ")
        return await self.kiosk.does(verb, what, self.msisdn)

    async def subscriber(self, msisdn: str) -> list[str]:
        self.msisdn = msisdn
        return []

    async def operator(self, how: str) -> list[str]:
        self.held = how == "slow"
        self.bench.operator.outage = "refuses" if how == "down" else ""
        if self.held:
            self.bench.operator.hold()
        else:
            self.bench.operator.release()
        return []

    async def wait(self, time: str) -> list[str]:
        amount, unit = time.split()
        self.bench.now += int(amount) * UNITS_MS[unit]
        self.bench.outbox.wake()
        return []

    async def settle(self) -> None:
        """Let the outbox do all that it can; what the operator keeps back stays in it."""
        with sqlite3.connect(self.database) as database:
            waiting = "SELECT COUNT(*) FROM outbox WHERE ready <= ?"
            if self.held:
                waiting = "SELECT COUNT(*) FROM outbox WHERE kind = 'sms' AND ready <= ?"
            # Word of a lock waits for the case that its server dies; nobody waits for it where it was told.
            waiting += " AND (kind <> 'lock_notice' OR ready <= ?)"
            now = self.bench.now
            await self.bench.until(lambda: database.execute(waiting, (now + 10**9, now)).fetchone() == (0,))
        database.close()


def _screen(text: str | None, ends: bool) -> list[str]:
    if text is None:
        return []
    return [*_masked(text), *(["(end)"] if ends else [])]


def _masked(text: str) -> list[str]:
    """Access codes are random; a journey shows that there is one, and how long it is."""
    return re.sub(r"(?<=: )\d{6,10}(?=\.)", lambda found: "*" * len(found[0]), text).split("\n")


def main(paths: list[str]) -> None:
    """Write journeys anew."""
    flow = shipped()
    for path in map(Path, paths):
        with tempfile.TemporaryDirectory() as directory:
            path.write_text(transcript(path.read_text("utf-8"), flow, Path(directory)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
