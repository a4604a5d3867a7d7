"""A phone in the terminal says line by line what is typed, and prints what the phone shows."""

import asyncio
import threading
from io import StringIO

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from smpp.pdu import Message
from smpp.transport import Connection
from tests.ussd_server.simulator.esme import BALANCE, CODE_TEXT, MENU, PATIENCE_S, TARIFFS, Esme
from tests.ussd_server.simulator.handset import NUMBER, simulator
from ussd_server.simulator.dial import dial
from ussd_server.simulator.page import make_app
from ussd_server.simulator.phone import Timers
from ussd_server.simulator.protocol import Dial


class Terminal(StringIO):
    """An input that says that a person sits at it."""

    def isatty(self) -> bool:
        return True


def typed(
    lines: str,
    *,
    bound: bool = True,
    person: bool = False,
    timers: Timers | None = None,
    reply_s: float = PATIENCE_S,
    service: type[Esme] = Esme,
) -> tuple[int, str]:
    """Type these lines at a phone; return the exit code and what was printed."""

    async def play() -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE_S), simulator(timers) as watched:
            esme = await service().start(watched.smsc.port) if bound else None
            server = TestServer(make_app(watched.smsc))
            await server.start_server()
            output = StringIO()
            input = Terminal(lines) if person else StringIO(lines)
            code = await dial(NUMBER, str(server.make_url("/")), input, output, reply_s)
            await server.close()
            if esme is not None:
                await esme.stop()
            return code, output.getvalue()

    return asyncio.run(play())


def test_a_conversation_is_a_script() -> None:
    assert typed("*111#\n1\n2\n") == (0, f"{MENU}\n{TARIFFS}\nДо свидания\n")


def test_the_next_line_after_the_end_is_dialled() -> None:
    assert typed("*100#\n*100#\n") == (0, f"{BALANCE}\n{BALANCE}\n")


def test_a_dialogue_that_is_open_at_the_end_is_hung_up() -> None:
    assert typed("*111#\n") == (0, f"{MENU}\n")


def test_messages_are_sent_and_printed() -> None:
    assert typed("/sms 6262\n/sms 2163 111\n") == (0, f"SMS 6262: {CODE_TEXT}\nSMS 2163: Услуга подключена.\n")


def test_an_sms_without_an_answer_is_said_and_is_the_exit_code() -> None:
    code, printed = typed("/sms 2163 nothing\n", reply_s=0.01)
    assert (code, printed) == (1, "No SMS came from 2163 within 0.01 s.\n")


def test_an_sms_of_another_number_is_no_answer() -> None:
    late = "SMS 6262: late\n"

    class Late(Esme):
        def _answer(self, connection: Connection, message: Message) -> None:
            self.text("6262", message.source_addr, "late")
            super()._answer(connection, message)

    assert typed("/sms 2163 111\n", service=Late) == (0, f"{late}SMS 2163: Услуга подключена.\n")


def test_the_network_can_be_made_to_fail() -> None:
    assert typed("*111#\n/drop\n") == (1, f"{MENU}\nThe network ended the dialogue.\n")
    assert typed("*100#\n/redeliver\n") == (0, f"{BALANCE}\n")
    assert typed("*111#\n/cancel\n*100#\n") == (0, f"{MENU}\nRequest cancelled.\n{BALANCE}\n")


def test_a_failure_of_the_network_is_the_exit_code() -> None:
    assert typed("*111#\n", bound=False) == (1, "Network error: the service cannot be reached.\n")
    assert typed("*999#\n", timers=Timers(1, 1)) == (1, "The waiting time is over.\n")


def test_what_cannot_be_sent_is_said() -> None:
    assert typed("1" * 200 + "\n*100#\n") == (1, f"This text does not fit or cannot be sent.\n{BALANCE}\n")


@pytest.mark.parametrize("line", ["/what", "/sms", "/"])
def test_an_unknown_command_is_refused_with_those_there_are(line: str) -> None:
    code, printed = typed(f"{line}\n*100#\n")
    assert code == 1
    assert printed.startswith(f"Not a command: {line}. Type a code")
    assert "/sms NUMBER [TEXT]" in printed
    assert printed.endswith(f"{BALANCE}\n")


def test_hanging_up_where_nothing_is_open_is_refused() -> None:
    assert typed("/cancel\n") == (1, "No dialogue is open.\n")
    assert typed("*100#\n/drop\n") == (1, f"{BALANCE}\nNo dialogue is open.\n")


def test_help_is_given_where_it_is_asked_for() -> None:
    code, printed = typed("/help\n")
    assert code == 0
    assert "/sms NUMBER [TEXT]" in printed


def test_a_person_sees_a_screen_and_a_prompt() -> None:
    code, printed = typed("*111#\n2\n\n", person=True)
    assert code == 0
    assert "+79100000001" in printed
    assert f"UCS-2 {len(MENU)}/80" in printed
    assert printed.count("dial>") == 3
    assert printed.count("answer>") == 1
    for line in MENU.splitlines():
        assert line in printed


def test_without_a_simulator_one_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    async def play() -> int:
        server = TestServer(web.Application())
        await server.start_server()
        url = str(server.make_url("/"))
        await server.close()
        return await dial(NUMBER, url, StringIO("*111#\n"), StringIO())

    assert asyncio.run(play()) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: no simulator at http://127.0.0.1:")
    assert said.endswith("; start one with: ussd-server demo, or give --http HOST:PORT\n")
    assert said.count("\n") == 1


class Closed(StringIO):
    """An output that nobody reads any more, as behind `| head`."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_an_output_that_nobody_reads_is_no_missing_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    async def play() -> None:
        async with asyncio.timeout(PATIENCE_S), simulator() as watched:
            server = TestServer(make_app(watched.smsc))
            await server.start_server()
            with pytest.raises(BrokenPipeError):
                await dial(NUMBER, str(server.make_url("/")), StringIO("*111#\n"), Closed())
            await server.close()

    asyncio.run(play())
    assert capsys.readouterr().err == ""


def test_what_the_phone_went_through_before_is_not_news() -> None:
    async def play() -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE_S), simulator() as watched:
            watched.do(Dial(NUMBER, "*111#"))
            assert (await watched.over()).reason == "unreachable"
            esme = await Esme().start(watched.smsc.port)
            esme.text("111", NUMBER, "old")
            await watched.inbox()
            server = TestServer(make_app(watched.smsc))
            await server.start_server()
            output = StringIO()
            code = await dial(NUMBER, str(server.make_url("/")), StringIO("/sms 2163 111\n"), output)
            await server.close()
            await esme.stop()
            return code, output.getvalue()

    assert asyncio.run(play()) == (0, "SMS 2163: Услуга подключена.\n")


class Held(StringIO):
    """An input that says one line and then nothing, until it is let go."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.let_go = threading.Event()

    def __next__(self) -> str:
        line = self.readline()
        if not line:
            self.let_go.wait(PATIENCE_S)
            raise StopIteration
        return line


class Printed(StringIO):
    """An output that tells when something was printed."""

    def __init__(self) -> None:
        super().__init__()
        self.printed = asyncio.Event()

    def flush(self) -> None:
        self.printed.set()


def test_a_simulator_that_goes_away_ends_the_call() -> None:
    async def play() -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE_S), simulator() as watched:
            esme = await Esme().start(watched.smsc.port)
            server = TestServer(make_app(watched.smsc))
            await server.start_server()
            output, input = Printed(), Held("*111#\n")
            call = asyncio.create_task(dial(NUMBER, str(server.make_url("/")), input, output))
            await output.printed.wait()
            await server.close()
            code = await call
            input.let_go.set()
            await esme.stop()
            return code, output.getvalue()

    assert asyncio.run(play()) == (1, f"{MENU}\nThe simulator went away.\n")
