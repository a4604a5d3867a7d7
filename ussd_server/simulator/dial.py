"""A phone in the terminal: the same phone as on the page, typed at.

| typed | does |
|---|---|
| any line | is dialled, or answers the screen |
| `/sms NUMBER [TEXT]` | sends an SMS, an empty one where no text is given, and waits a little for one from there |
| `/cancel` | hangs up |
| `/drop`, `/redeliver` | what the network can do to the dialogue |
| `/help`, end of input | these lines; the end |
"""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, TextIO

import aiohttp
import msgspec
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from ussd_server.simulator import protocol
from ussd_server.simulator.phone import Dialogue, Message, PhoneView, Usage

REPLY_S: Final = 5.0
"""How long `/sms` waits for a message back from the number that it wrote to."""

CONNECT_S: Final = 5.0

HELP: Final = (
    "Type a code such as *111# or an answer. /sms NUMBER [TEXT], /cancel, /drop, /redeliver, /help; Ctrl-D ends."
)

_NETWORK_SAYS: Final = {
    "cancelled": "Request cancelled.",
    "timeout": "The waiting time is over.",
    "dropped": "The network ended the dialogue.",
    "unreachable": "Network error: the service cannot be reached.",
    "refused": "Network error: the service refused the request.",
    "lost": "Network error: the link to the service is lost.",
}
_REFUSALS: Final = {
    "bad_number": "This is not a phone number.",
    "bad_text": "This text does not fit or cannot be sent.",
    "too_many": "The simulator takes no more phones.",
    "nobody_bound": "No service is bound.",
    "bad_command": "The simulator did not understand.",
}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(protocol.AnyEvent).decode


async def dial(msisdn: str, url: str, input: TextIO, output: TextIO, reply_s: float = REPLY_S) -> int:
    """Be the phone `msisdn` of the simulator whose page is at `url`, until the input ends; return the exit code.

    Where `input` is no terminal, each of its lines is dialled or answered and what the phone shows is printed as plain
    lines, so that a conversation can be scripted; a dialogue that is open at the end is hung up. The code is 1
    where there is no simulator, where a line could not be carried out, where an SMS had no answer within `reply_s`, or
    where the network failed the last dialogue. Raises BrokenPipeError where nobody reads the output any more.
    """
    display = RichDisplay(msisdn, output) if input.isatty() else PlainDisplay(output)
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(f"{url.rstrip('/')}/socket") as socket,
        ):
            return await _Handset(msisdn, socket, display, reply_s).use(_lines(input))
    except BrokenPipeError:  # of the output, as in `| head`; the simulator is there
        raise
    except (aiohttp.ClientError, OSError, TimeoutError):
        mend = "start one with: ussd-server demo, or give --http HOST:PORT"
        print(f"error: no simulator at {url.rstrip('/')}; {mend}", file=sys.stderr)
        return 1


class _Handset:
    """The phone as the simulator tells it, and the commands that it is given."""

    def __init__(
        self, msisdn: str, socket: aiohttp.ClientWebSocketResponse, display: "Display", reply_s: float
    ) -> None:
        self._msisdn = msisdn
        self._reply_s = reply_s
        self._socket = socket
        self._display = display
        self._view = PhoneView(msisdn, None, ())
        self._shown: tuple[int, int, str] | None = None
        self._read = 0
        self._received: Counter[str] = Counter()
        self._refusals = 0
        self._mistaken = False
        self._ending = False
        self._closed = False
        self._known = False
        self._asking = False
        self._changed = asyncio.Condition()

    async def use(self, lines: "asyncio.Queue[str | None]") -> int:
        """Carry the lines out one after the other."""
        await self._say(protocol.Add(self._msisdn))
        listener = asyncio.create_task(self._listen(lines))
        try:
            await self._until(lambda: self._known)
            if not self._open:
                await self._say(protocol.Dismiss(self._msisdn))
                await self._until(lambda: self._dialogue is None)
            while not self._closed:
                self._display.ask(self._dialogue)
                self._asking = True
                line = await lines.get()
                self._asking = False
                if line is None:
                    break
                await self._carry_out(line.strip())
            if self._open:
                self._ending = True
                await self._say(protocol.Cancel(self._msisdn))
                await self._until(lambda: not self._open)
            went = self._closed
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener
        if went:
            self._display.note("The simulator went away.")
        failed = self._dialogue is not None and self._dialogue.reason not in (None, "ended", "cancelled")
        return 1 if failed or self._mistaken or self._refusals or went else 0

    # Commands -------------------------------------------------------------------------------------------------------

    async def _carry_out(self, line: str) -> None:
        if line.startswith("/"):
            await self._command(*line[1:].split(" ", 2))
        elif self._open:
            await self._answer(line)
        elif line:
            await self._dial(line)
        elif self._dialogue is not None:
            await self._say(protocol.Dismiss(self._msisdn))

    async def _command(self, name: str, *arguments: str) -> None:
        if name == "sms" and arguments:
            await self._sms(arguments[0], arguments[1] if len(arguments) > 1 else "")
        elif name == "cancel" and self._open:
            await self._say(protocol.Cancel(self._msisdn))
            await self._until(lambda: not self._open)
        elif name == "drop" and self._open:
            await self._say(protocol.Drop(self._msisdn))
            await self._until(lambda: not self._open)
        elif name == "redeliver":
            await self._say(protocol.Redeliver(self._msisdn))
        elif name == "help":
            self._display.note(HELP)
        else:
            self._mistaken = True
            self._display.note(
                "No dialogue is open." if name in ("cancel", "drop") else f"Not a command: /{name}. {HELP}"
            )

    async def _dial(self, code: str) -> None:
        before = self._session
        await self._say(protocol.Dial(self._msisdn, code))
        await self._until(lambda: self._session != before and self._settled)

    async def _answer(self, text: str) -> None:
        step = self._step
        await self._say(protocol.Answer(self._msisdn, text))
        await self._until(lambda: self._settled and (not self._open or self._step != step))

    async def _sms(self, to: str, text: str) -> None:
        before = self._received[to]  # another number's may come late, and is no answer
        await self._say(protocol.Write(self._msisdn, to, text))
        try:
            async with asyncio.timeout(self._reply_s):
                await self._until(lambda: self._received[to] != before)
        except TimeoutError:
            self._mistaken = True
            self._display.note(f"No SMS came from {to} within {self._reply_s:g} s.")

    async def _say(self, command: protocol.AnyCommand) -> None:
        if not self._socket.closed:
            await self._socket.send_str(_encode(command).decode())

    # Events ---------------------------------------------------------------------------------------------------------

    @property
    def _dialogue(self) -> Dialogue | None:
        return self._view.dialogue

    @property
    def _open(self) -> bool:
        return self._dialogue is not None and self._dialogue.turn != "over"

    @property
    def _settled(self) -> bool:
        return self._dialogue is None or self._dialogue.turn != "service"

    @property
    def _session(self) -> int | None:
        return self._dialogue.session if self._dialogue is not None else None

    @property
    def _step(self) -> int:
        return self._dialogue.step if self._dialogue is not None else 0

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Wait until it is so, until the simulator refuses, or until it is gone."""
        refusals = self._refusals
        async with self._changed:
            await self._changed.wait_for(lambda: reached() or self._closed or self._refusals > refusals)

    async def _listen(self, lines: "asyncio.Queue[str | None]") -> None:
        """Hear events until the simulator goes, which ends the input as well."""
        try:
            async for received in self._socket:
                if received.type is aiohttp.WSMsgType.TEXT:
                    await self._hear(_decode(received.data))
        finally:
            self._closed = True
            lines.put_nowait(None)
            async with self._changed:
                self._changed.notify_all()

    async def _hear(self, event: protocol.AnyEvent) -> None:
        async with self._changed:
            if isinstance(event, protocol.Hello):
                for phone in event.phones:
                    if phone.msisdn == self._msisdn:
                        # What was there before is not news.
                        self._read = max((message.id for message in phone.messages), default=0)
                        self._shown = _key(phone.dialogue) if _is_over(phone.dialogue) else None
                        self._take(phone)
            elif isinstance(event, protocol.PhoneChanged) and event.phone.msisdn == self._msisdn:
                self._take(event.phone)
            elif isinstance(event, protocol.Refused):
                self._refusals += 1
                self._display.note(_REFUSALS[event.what])
            self._changed.notify_all()

    def _take(self, phone: PhoneView) -> None:
        """Show what is new about the phone."""
        self._known = True
        self._view = phone
        news = False
        for message in phone.messages:
            if message.id > self._read:
                self._read = message.id
                if not message.outgoing:
                    self._received[message.peer] += 1
                    self._display.sms(message)
                    news = True
        dialogue = phone.dialogue
        if dialogue is not None and dialogue.turn != "service" and _key(dialogue) != self._shown:
            self._shown = _key(dialogue)
            if not (self._ending and dialogue.reason == "cancelled"):  # our own hanging up at the end is no news
                self._display.screen(dialogue)
                news = True
        if news and self._asking:
            self._display.ask(dialogue)


def _key(dialogue: Dialogue | None) -> tuple[int, int, str] | None:
    """Return what changes whenever there is another screen."""
    return None if dialogue is None else (dialogue.session, dialogue.step, dialogue.turn)


def _is_over(dialogue: Dialogue | None) -> bool:
    return dialogue is not None and dialogue.turn == "over"


class Display(Protocol):
    """How the phone is drawn."""

    def screen(self, dialogue: Dialogue) -> None:
        """Show a screen of the service or a word of the network."""

    def sms(self, message: Message) -> None:
        """Show an SMS that came."""

    def note(self, text: str) -> None:
        """Show a line of the terminal's own."""

    def ask(self, dialogue: Dialogue | None) -> None:
        """Invite the next line."""


class PlainDisplay:
    """Lines for a script: the screen's text, and an SMS as one line that begins with its sender."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def screen(self, dialogue: Dialogue) -> None:
        """As `Display.screen`."""
        self._print(_said(dialogue))

    def sms(self, message: Message) -> None:
        """As `Display.sms`."""
        self._print(f"SMS {message.peer}: {message.text}")

    def note(self, text: str) -> None:
        """As `Display.note`."""
        self._print(text)

    def ask(self, dialogue: Dialogue | None) -> None:
        """As `Display.ask`."""

    def _print(self, text: str) -> None:
        print(text, file=self._output, flush=True)


class RichDisplay:
    """A small screen drawn with lines, for a person at a terminal."""

    WIDTH = 40

    def __init__(self, msisdn: str, output: TextIO) -> None:
        self._title = f"+{msisdn}"
        self._console = Console(file=output, highlight=False)
        self._console.print(HELP, style="dim")

    def screen(self, dialogue: Dialogue) -> None:
        """As `Display.screen`."""
        subtitle = "" if dialogue.reason in _NETWORK_SAYS else _measure(dialogue.usage)
        if dialogue.turn == "subscriber":
            subtitle = f"{dialogue.span_ms // 1000} s · {subtitle}"
        title = f"{dialogue.source} calls {self._title}" if dialogue.source else self._title
        self._panel(_said(dialogue), title, subtitle, "green" if dialogue.turn == "subscriber" else "dim")

    def sms(self, message: Message) -> None:
        """As `Display.sms`."""
        self._panel(message.text, f"SMS {message.peer}", _measure(message.usage), "yellow")

    def note(self, text: str) -> None:
        """As `Display.note`."""
        self._console.print(text, style="dim", markup=False)

    def ask(self, dialogue: Dialogue | None) -> None:
        """As `Display.ask`."""
        waits = dialogue is not None and dialogue.turn == "subscriber"
        self._console.print("[bold]answer>[/] " if waits else "[bold]dial>[/] ", end="")

    def _panel(self, text: str, title: str, subtitle: str, style: str) -> None:
        panel = Panel(Text(text), title=title, subtitle=subtitle or None, border_style=style, width=self.WIDTH)
        self._console.print()
        self._console.print(panel)


def _said(dialogue: Dialogue) -> str:
    return _NETWORK_SAYS.get(dialogue.reason or "", dialogue.screen)


def _measure(usage: Usage | None) -> str:
    return "" if usage is None else f"{usage.alphabet} {usage.used}/{usage.budget}"


def _lines(input: TextIO) -> "asyncio.Queue[str | None]":
    """Read lines in a thread of their own, which does not hold the process up when it is time to go."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(RuntimeError, ValueError):  # the loop or the input was closed meanwhile
            for line in input:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return lines
