"""The load generator of terminals: many signed connections to one server, each with one request under way.

It takes one JSON command a line on standard input: `{"path": "checks", "width": 16, "seconds": 5}`. Each is answered by
`{"prepared": true}` when visits are open and the run begins, and by one line with what was measured, or by
`{"error": ...}` and exit 1: a wrong status or a wrong screen ends everything.

Every request is signed and every entry sealed as a terminal does it, with the product's own functions. Requests and
answers are octets on a bare asyncio protocol, so that the generator is several times faster than what it measures.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
import time
from array import array
from base64 import b64decode
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import uvloop

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminals.sealing import Entry, seal
from ussd_server.terminals.signatures import Asked, Signed, Signer, sign_request, verify_response

ANSWER_TIMEOUT_S = 20.0
"""A request without an answer for so long has failed."""

RAMP_S = 0.3
"""The start of a run that does not count, while the requests spread."""

VERIFIED = 32
"""One answer in so many has its signature verified: it is there and right, and its cost is not what is measured."""

MAX_WIDTH = 512


class Failed(Exception):
    """The run is worth nothing: the text says which request went wrong and how."""


@dataclass(frozen=True)
class Run:
    """One command: `width` connections walk `path` for so many seconds."""

    path: str
    width: int
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What a run gave; rate and latencies are of the requests that count, `all` are all that were answered."""

    path: str
    width: int
    rate: float
    all: int
    p50_ms: float
    p99_ms: float
    generator_us: float
    """CPU time of this process a request, µs."""

    verified: int


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's content."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Ask:
    """A request of a path; `counts` where its answer is what the path measures."""

    method: str
    path: str
    body: bytes = b""
    key: str = ""
    expects: int = 200
    counts: bool = False
    shows: str = ""


@dataclass(frozen=True)
class Person:
    """A number and its right code."""

    msisdn: str
    code: Secret[str]


@dataclass(frozen=True)
class Crowd:
    """The server, and everybody who uses it: terminals that sign, persons, the key to seal to."""

    host: str
    port: int
    signers: list[Signer]
    persons: list[Person]
    transport: str
    public: bytes

    @property
    def url(self) -> str:
        """The server's base URL."""
        return f"http://{self.host}:{self.port}"


Steps: TypeAlias = Generator[Ask, Answer, None]
Walk: TypeAlias = Callable[[Crowd, Signer, Person], Steps]


def _fresh() -> str:
    return secrets.token_urlsafe(12)


def _open(crowd: Crowd, signer: Signer, person: Person, *, counts: bool = False) -> Ask:
    key = _fresh()
    terminal = signer.keyid.partition("/")[0]
    entry = Entry(person.msisdn, person.code, terminal, key, time.time_ns() // 1_000_000, _fresh())
    content = {"msisdn": person.msisdn, "entry": {"key": crowd.transport, "box": seal(entry, crowd.public)}}
    return Ask("POST", "/v1/visits", json.dumps(content).encode(), key, 201, counts)


def checks(crowd: Crowd, signer: Signer, person: Person) -> Steps:
    """Enter the right code again and again; each visit ends the one before."""
    while True:
        yield _open(crowd, signer, person, counts=True)


def inputs(crowd: Crowd, signer: Signer, person: Person) -> Steps:
    """Stay in one visit and walk: tariffs, a tariff, back, back to the menu."""
    opened = (yield _open(crowd, signer, person)).json()
    screen = opened["screen"]["id"]
    while True:
        for said, shows in (("2", "Тарифы"), ("1", "Супер Ноль"), ("0", "Тарифы"), ("00", "Помощник")):
            body = json.dumps({"screen": screen, "text": said}).encode()
            path = f"/v1/visits/{opened['visit']}/inputs"
            answer = yield Ask("POST", path, body, _fresh(), 200, True, shows)
            screen = answer.json()["screen"]["id"]


def balance(crowd: Crowd, signer: Signer, person: Person) -> Steps:
    """Stay in one visit and ask for the balance."""
    opened = (yield _open(crowd, signer, person)).json()
    while True:
        yield Ask("GET", f"/v1/visits/{opened['visit']}/balance", counts=True, shows="minor")


PATHS: dict[str, Walk] = {"checks": checks, "inputs": inputs, "balance": balance}


class Connection(asyncio.Protocol):
    """One connection kept alive, on which one terminal serves one person."""

    def __init__(self, tally: "Tally", crowd: Crowd, signer: Signer, person: Person, walk: Walk) -> None:
        self._tally = tally
        self._crowd = crowd
        self._signer = signer
        self._steps = walk(crowd, signer, person)
        self._buffer = b""
        self._sent = 0.0
        self._wanted = Ask("", "")
        self._headers: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; `begin` sends the first request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def begin(self) -> None:
        """Send the first request."""
        self._go_on(next(self._steps))

    def _go_on(self, ask: Ask) -> None:
        """Send a request; the first that counts is held until everybody has come so far."""
        if ask.counts and not self._tally.until:
            self._tally.hold(partial(self._send, ask))
        else:
            self._send(ask)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _send(self, ask: Ask) -> None:
        headers = {"Host": f"{self._crowd.host}:{self._crowd.port}"}
        if ask.key:
            headers["Idempotency-Key"] = ask.key
        if ask.body:
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(ask.body))
        url = self._crowd.url + ask.path
        now = time.time_ns() // 1_000_000
        self._headers = sign_request(ask.method, url, headers, ask.body, self._signer, now, _fresh())
        lines = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())
        self._wanted = ask
        self._tally.under_way += 1
        self._sent = time.perf_counter()
        self._transport.write(f"{ask.method} {ask.path} HTTP/1.1\r\n{lines}\r\n".encode() + ask.body)

    def data_received(self, data: bytes) -> None:
        """Take the answer, check it, and send the next request."""
        self._buffer = self._buffer + data if self._buffer else data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        answer = Answer(int(status_line[9:12]), headers, rest[:length])
        try:
            self._answered(answer, time.perf_counter())
        except Failed as failure:
            self._tally.fail(failure)
            self._transport.close()

    def _answered(self, answer: Answer, now: float) -> None:
        ask, tally = self._wanted, self._tally
        tally.under_way -= 1
        if answer.status != ask.expects or (ask.shows and ask.shows not in answer.body.decode()):
            raise Failed(
                f"{ask.method} {ask.path.partition('/v1/')[2].split('/')[0]}: expected {ask.expects} {ask.shows!r}, "
                f"got {answer.status} {answer.body[:300].decode('utf-8', 'replace')}"
            )
        if tally.all % VERIFIED == 0:
            tally.verify(Asked(ask.method, self._crowd.url + ask.path, self._headers), answer)
        if tally.counted(self._sent, now, ask.counts):
            self._go_on(self._steps.send(answer))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the run where answers are missing."""
        if self._tally.under_way:
            self._tally.fail(Failed(f"the server closed a connection: {exc}"))


class Tally:
    """What a run counts, and when it ends."""

    def __init__(self, command: Run, server_keys: Callable[[str], bytes | None]) -> None:
        self._keys = server_keys
        self._width = command.width
        self._held: list[Callable[[], None]] = []
        self.seconds = command.seconds
        self.latencies = array("d")
        self.all = self.verified = self.under_way = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.from_, self.until = 0.0, 0.0

    def hold(self, send: Callable[[], None]) -> None:
        """Keep a connection's first request that counts; with the last of them the run begins."""
        self._held.append(send)
        if len(self._held) == self._width:
            _say(prepared=True)
            self.from_ = time.perf_counter() + RAMP_S
            self.until = self.from_ + self.seconds
            for one in self._held:
                one()

    def counted(self, sent: float, now: float, counts: bool) -> bool:
        """Count an answer; True while the run goes on."""
        if not self.until:
            return True
        self.all += 1
        if now >= self.until:
            if not self.under_way and not self.done.done():
                self.done.set_result(None)
            return False
        if counts and now >= self.from_:
            self.latencies.append(now - sent)
        return True

    def verify(self, asked: Asked, answer: Answer) -> None:
        """Verify an answer's signature."""
        now = time.time_ns() // 1_000_000
        result = verify_response(answer.status, answer.headers, answer.body, asked, self._keys, now)
        if not isinstance(result, Signed):
            raise Failed(f"an answer is not signed as it should be: {result}")
        self.verified += 1

    def fail(self, failure: Failed) -> None:
        """End the run as worth nothing."""
        if not self.done.done():
            self.done.set_exception(failure)


async def run(command: Run, crowd: Crowd, server_keys: Callable[[str], bytes | None]) -> Measured:
    """Do one run; Failed says what went wrong."""
    loop = asyncio.get_running_loop()
    tally = Tally(command, server_keys)
    connections = []
    for at in range(command.width):
        signer, person = crowd.signers[at % len(crowd.signers)], crowd.persons[at]
        make = partial(Connection, tally, crowd, signer, person, PATHS[command.path])
        _, connection = await loop.create_connection(make, crowd.host, crowd.port)
        connections.append(connection)
    cpu = os.times()
    for connection in connections:
        connection.begin()
    try:
        async with asyncio.timeout(command.seconds + RAMP_S + 2 * ANSWER_TIMEOUT_S):
            await tally.done
    except TimeoutError:
        raise Failed(f"no answer for {ANSWER_TIMEOUT_S} s") from None
    finally:
        for connection in connections:
            connection.close()
    now = os.times()
    return _measured(command, tally, now.user + now.system - cpu.user - cpu.system)


def _measured(command: Run, tally: Tally, cpu: float) -> Measured:
    ordered = sorted(tally.latencies)
    if not ordered:
        raise Failed("nothing was counted: the run was too short")

    def share(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1000, 3)

    return Measured(
        path=command.path,
        width=command.width,
        rate=round(len(ordered) / tally.seconds, 1),
        all=tally.all,
        p50_ms=share(0.50),
        p99_ms=share(0.99),
        generator_us=round(cpu / tally.all * 1e6, 1),
        verified=tally.verified,
    )


def read_crowd(path: Path) -> tuple[Crowd, dict[str, bytes]]:
    """Read the file of `benchmarks.stage`, and which keys the server signs with."""
    content = json.loads(path.read_text(encoding="utf-8"))
    crowd = Crowd(
        content["host"],
        content["port"],
        [Signer(one["keyid"], Secret(b64decode(one["seed"]))) for one in content["terminals"]],
        [Person(one["msisdn"], Secret(one["code"])) for one in content["persons"]],
        content["transport"]["id"],
        b64decode(content["transport"]["public"]),
    )
    return crowd, {one["id"]: b64decode(one["public"]) for one in content["signing"]}


def _say(**what: Any) -> None:
    print(json.dumps(what, ensure_ascii=False), flush=True)


def main() -> int:
    """Serve; exit 1 with `{"error": ...}` on standard output where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crowd", type=Path, help="the file with terminals and persons")
    crowd, keys = read_crowd(parser.parse_args().crowd)
    try:
        for line in sys.stdin:
            command = Run(**json.loads(line))
            if command.path not in PATHS or not 1 <= command.width <= min(MAX_WIDTH, len(crowd.persons)):
                raise Failed(f"cannot run {command}")
            _say(**asdict(uvloop.run(run(command, crowd, keys.get))))
    except (Failed, OSError, TypeError, ValueError) as error:
        _say(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
