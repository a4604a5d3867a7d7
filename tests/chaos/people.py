"""What subscribers do, at their phones and at terminals. Each is a person of their own, with their own luck.

A person does one thing at a time, as people do, and knows what they were told; what was told is in the ledger. Who does
not get what they wait for is patient for a while and then stops: the checker sees to what is missing.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from tests.chaos import ledger, screens, shop
from tests.chaos.ledger import Agreed, Balance, Entry, Ledger, Means, Told
from tests.chaos.network import Arrived, Network
from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client import (
    Busy,
    Expired,
    Locked,
    OrderState,
    Quote,
    Refused,
    Rejected,
    TerminalClient,
    TerminalError,
    Unreachable,
    Untrusted,
    Visit,
)

TIMER_S = 15.0
"""How long the network keeps a dialogue that has no answer."""

SMS_PATIENCE_S = 75.0
"""How long a person waits for an SMS: a lease (30 s), a link that comes back (30 s), and room."""

DIALOGUES = 127
"""Numbers that the network has for dialogues."""

ANSWER_AGAIN = 3
"""How often a call to the terminal's server is taken up again whose answer did not come."""

SAME_AGAIN_S = 210.0
"""The same SMS sooner may be taken for one that the network repeats (120 s): who took the first may have had a clock
that is 40 s ahead then, and who takes the second one that is 40 s behind."""

LOOK_S = 0.1
"""How often who was forgotten looks whether all that they had sent was taken."""

YES = ("да", "1")

PRESSED = 4
"""How often 1 is pressed where the screen that asks comes again: a server that is given the second 1 in a row, and was
not given the first, takes it for that one come again (`ussd_server/turns/redelivery.py`); this network counts no steps.
"""


UNCERTAIN = ("", "unsure", "broken")
"""What may be said to an order that was placed all the same: nothing, that nobody knows, and that nothing was charged
where another server had the same input before. Only the checker knows whether one had."""


class Stopped(Exception):
    """The person does no more: something that they waited for did not come."""


class Person:
    """A subscriber from their first call to their last; who is forgotten in the middle of it begins anew."""

    def __init__(self, which: int, network: Network, client: TerminalClient, book: Ledger, seed: int) -> None:
        self.msisdn = shop.msisdn(which)
        self.locked = False
        self.sure = True
        """Whether what this person knows of their code and entries is certain."""
        self._network = network
        self._client = client
        self._book = book
        self._rng = random.Random(f"{seed} {which}")
        self._screens: asyncio.Queue[Arrived] = asyncio.Queue()
        self._sms: list[str] = []
        self._news = asyncio.Event()
        self._dialogue = self._rng.randrange(100)
        self._life: asyncio.Timeout | None = None
        self._inputs: list[int] = []
        self._ordered_codes = 0
        self._code = ""
        self._old_code = ""
        self._codes: set[str] = set()
        self._code_came = 0.0
        self._said: dict[str, float] = {}
        self._owned: list[str] = []
        self._asked: set[str] = set()
        """Offerings whose price was asked: after a life that was broken off nobody knows what became of them."""
        self._services = list(shop.SERVICES)
        self._activated = False
        self._sms_before = 0
        self._tariffs = self._rng.sample(list(shop.TARIFFS), len(shop.TARIFFS))
        self._probes = list(range(3_000, 9_999))
        self._rng.shuffle(self._probes)
        self._orders = itertools.count(which * 1_000 + 1)
        self._order = 0
        network.listen(self.msisdn, self._arrived)

    @property
    def has_code(self) -> bool:
        """Whether a code came."""
        return bool(self._code)

    @property
    def rests(self) -> bool:
        """Whether nothing of theirs is under way, and nothing more will come from them."""
        return self._life is None and not self._owes()

    def _owes(self) -> bool:
        return any(self._network.waits(input) for input in self._inputs)

    async def live(self, over: Callable[[], bool]) -> None:
        """Live until all is done or it is over, and begin anew where the service forgets them before."""
        while True:
            try:
                async with asyncio.timeout(None) as self._life:
                    await self._live(over)
                return
            except TimeoutError:  # forgotten
                if not await self._comes_back(over):
                    return
                self._start_over()
            finally:
                self._life = None

    def forgotten(self) -> None:
        """Break off what is being done, for the service knows nothing of it any more."""
        if self._life is None:
            self._start_over()
        else:
            self._life.reschedule(asyncio.get_running_loop().time())

    def _start_over(self) -> None:
        self._code, self._old_code = "", self._code or self._old_code
        self.locked, self.sure, self._activated = False, True, False
        self._sms_before = len(self._sms)
        self._owned.clear()
        self._services = [each for each in self._services if each not in self._asked]
        self._tariffs = [each for each in self._tariffs if each not in self._asked]

    async def _comes_back(self, over: Callable[[], bool]) -> bool:
        """Wait until all is taken that was sent before; False for who would take an answer to that for a new one."""
        while self._owes() and not over():
            await asyncio.sleep(LOOK_S)
        return self._activated and self._ordered_codes <= len(self._codes) and not over()

    async def _live(self, over: Callable[[], bool]) -> None:
        """Activate, get a code, do a few things, and perhaps end with three wrong codes; stop early when it is over."""
        rng = self._rng
        try:
            await rng.choice((self._activate_by_ussd, self._activate_by_sms))()
            self._activated = True
            if self._old_code and rng.random() < 0.5:
                await self._try_old_code()
            await self._order_code()
            for _ in range(rng.randint(4, 9)):
                if over():
                    return
                await rng.choice(self._habits())()
            if rng.random() < 0.4 and not over():
                await self._get_locked()
        except (Stopped, TerminalError):
            return

    def _habits(self) -> list[Callable[[], Awaitable[None]]]:
        habits = [
            self._ask_balance,
            self._probe,
            self._probe,
            self._visit,
            self._visit,
            self._mistype,
        ]
        if self._tariffs:
            habits += [self._order_tariff_by_ussd] * 2 + [self._order_by_sms] * 2
        if time.monotonic() - self._code_came > SAME_AGAIN_S:
            habits += [self._order_code] * 3
        return habits

    # Phone: what comes ----------------------------------------------------------------------------------------------

    def _arrived(self, arrived: Arrived) -> None:
        if arrived.dialogue:
            self._screens.put_nowait(arrived)
            return
        self._sms.append(arrived.text)
        code = screens.code(arrived.text)
        if code and code not in self._codes:
            self._codes.add(code)
            self._code = code
        self._news.set()

    async def _sms_with(self, wanted: Callable[[str], bool], seen: int) -> str:
        """Return the first SMS that is wanted of those after the first `seen`, waiting for it."""
        try:
            async with asyncio.timeout(SMS_PATIENCE_S):
                while True:
                    for text in self._sms[seen:]:
                        if wanted(text):
                            return text
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise Stopped from None

    async def _ussd(self, text: str, means: Means, *expects: str, agreed: tuple[str, str] | None = None) -> str:
        """Dial or answer, and return the kind of the screen that came, "" for none; the phone is patient for a time."""
        if text.startswith("*"):
            self._dialogue = self._dialogue % DIALOGUES + 1
        while not self._screens.empty():
            self._screens.get_nowait()
        input = self._network.ussd(self.msisdn, self._dialogue, text, means, expects)
        self._inputs.append(input)
        if agreed is not None:
            self._agree(*agreed, input)
        try:
            async with asyncio.timeout(TIMER_S):
                while True:
                    arrived = await self._screens.get()
                    if arrived.dialogue != self._dialogue:
                        continue
                    for kind in (*expects, *screens.EXCUSES):
                        if screens.fits(arrived.text, kind):
                            self._saw(arrived.text)
                            return kind
        except asyncio.CancelledError:
            self._network.drop(input)
            raise
        except TimeoutError:
            self._network.drop(input)
            return ""

    def _sms_to(self, number: str, text: str, means: Means, detail: str = "") -> int:
        """Send an SMS and return the input's id."""
        input = self._network.sms(self.msisdn, number, text, means, detail)
        self._inputs.append(input)
        return input

    def _saw(self, text: str) -> None:
        minor = screens.balance(text)
        if minor is not None:
            self._book.note(Balance(ledger.now(), self.msisdn, minor))

    async def _dial(self, code: str, means: Means, kind: str) -> str:
        """Dial until a screen of this kind comes; whoever is asked whether to go on begins anew. Returns what came."""
        for _ in range(4):
            shown = await self._ussd(code, means, kind, "resume")
            if shown == "resume":
                shown = await self._ussd("2", means, kind)
            if shown == kind:
                return shown
            await asyncio.sleep(self._rng.uniform(0.1, 1.0))
        raise Stopped

    # Phone: what a person does ----------------------------------------------------------------------------------------

    async def _activate_by_ussd(self) -> None:
        await self._dial("*111*2163#", "activate", "activated")

    async def _activate_by_sms(self) -> None:
        self._sms_to("2163", "111", "activate")
        await self._sms_with(lambda text: screens.fits(text, "activated"), self._sms_before)

    async def _ask_balance(self) -> None:
        await self._dial("*100#", "balance", "balance")

    async def _probe(self) -> None:
        """Ask for a service that is not there: the answer names it, so it answers this SMS and no other."""
        number = str(self._probes.pop())
        seen = len(self._sms)
        self._sms_to("111", f"услуга {number}", "probe", number)
        await self._sms_with(lambda text: screens.unknown_number(text) == number, seen)

    async def _order_code(self) -> None:
        if not self.sure:
            return
        known = len(self._codes)
        self._ordered_codes += 1
        self._sms_to("6262", "", "code")
        await self._sms_with(lambda _: len(self._codes) > known, len(self._sms))
        self._code_came = time.monotonic()

    async def _order_tariff_by_ussd(self) -> None:
        tariff = self._next_tariff()
        await self._dial(f"*111*2*{shop.TARIFFS[tariff][0]}#", "step", f"offer:{tariff}")
        asks = f"price:{tariff}"
        if await self._ussd("1", "step", asks) != asks:
            return
        seen = len(self._sms)
        shown, pressed = await self._ussd("1", "yes", "placed", asks, agreed=("change_tariff", tariff)), 1
        while shown == asks and pressed < PRESSED:
            shown, pressed = await self._ussd("1", "yes", "placed", asks), pressed + 1
        certain = shown == "placed" or (pressed == 1 and shown not in UNCERTAIN)
        await self._receipt(tariff, seen, shown == "placed" if certain else None)

    async def _order_by_sms(self) -> None:
        """Add or remove a service, or change the tariff, by its number."""
        yes = next((yes for yes in YES if time.monotonic() - self._said.get(yes, -SAME_AGAIN_S) >= SAME_AGAIN_S), None)
        if yes is None:
            await self._probe()
            return
        change, offering, text = self._choice()
        seen = len(self._sms)
        self._sms_to("111", text, "step")
        if change == "remove_service":
            await self._sms_with(lambda text: text.startswith("Отключить "), seen)
        else:
            await self._sms_with(lambda text: screens.fits(text, f"price:{offering}"), seen)
        seen = len(self._sms)
        self._agree(change, offering, self._sms_to("111", yes, "yes"))
        await self._sms_with(lambda text: screens.fits(text, "placed"), seen)
        self._said[yes] = time.monotonic()
        await self._receipt(offering, seen, True)

    def _choice(self) -> tuple[str, str, str]:
        rng = self._rng
        free = [service for service in self._services if service not in self._owned]
        if self._owned and rng.random() < 0.3:
            service = self._owned.pop(0)
            return "remove_service", service, f"убрать {shop.SERVICES[service]}"
        if free and rng.random() < 0.5:
            service = rng.choice(free)
            self._asked.add(service)
            self._owned.append(service)
            return "add_service", service, f"услуга {shop.SERVICES[service]}"
        tariff = self._next_tariff()
        return "change_tariff", tariff, shop.TARIFFS[tariff][1]

    def _next_tariff(self) -> str:
        """Return the tariff that was ordered longest ago."""
        tariff = self._tariffs.pop(0)
        self._tariffs.append(tariff)
        self._asked.add(tariff)
        return tariff

    def _agree(self, change: str, offering: str, input: int = 0) -> None:
        self._order = next(self._orders)
        self._book.note(Agreed(ledger.now(), self._order, self.msisdn, change, offering, input))

    async def _receipt(self, offering: str, seen: int, placed: bool | None) -> None:
        """Note what was said to the order, and wait for the SMS that tells of its end; `placed` None: nothing was."""
        if placed is None:
            raise Stopped  # what to order next depends on what became of this
        self._book.note(Told(ledger.now(), self._order, placed))
        if placed:
            name = shop.names()[offering]
            await self._sms_with(lambda text: screens.is_receipt(text) and name in text, seen)

    # Terminal -----------------------------------------------------------------------------------------------------

    async def enter(self, *, right: bool) -> Visit | str:
        """Enter the code, or a wrong one; returns the visit, or the verdict's name."""
        return await self._enter(self._code if right else self._code[:-1] + str(9 - int(self._code[-1])), right)

    async def _enter(self, code: str, right: bool) -> Visit | str:
        at, began = ledger.now(), time.monotonic()
        verdict: Literal["visit", "rejected", "locked", "expired", "busy", "unknown"] = "unknown"
        number, visit = 0, None
        try:
            outcome = await until_answered(lambda key: self._client.open(self.msisdn, Secret(code), key=key))
        except Refused:  # at its first sending: nobody judged it
            return "refused"
        except asyncio.CancelledError:  # the run is over, and a try may have been taken all the same
            self._book.note(Entry(at, self.msisdn, right, "unknown"))
            self.sure = False
            raise
        match outcome:
            case Visit():
                verdict, visit = "visit", outcome
            case Rejected(attempts_left=left):
                verdict, number = "rejected", left
            case Locked(until=until):
                verdict, number = "locked", until
                self.locked = True
            case Expired():
                verdict = "expired"
            case Busy():
                verdict = "busy"
        took = round((time.monotonic() - began) * 1000)
        self._book.note(Entry(at, self.msisdn, right, verdict, number, took))
        return visit or verdict

    async def look_again(self) -> None:
        """Enter the right code when all is calm; a visit is closed again."""
        visit = await self.enter(right=True)
        if isinstance(visit, Visit):
            async with visit:  # closes it, or leaves it to end when idle
                pass

    async def _visit(self) -> None:
        """Enter the right code, look at the balance, and perhaps order something."""
        visit = await self.enter(right=True)
        if not isinstance(visit, Visit):
            self._give_up_entries(visit)
            return
        try:
            balance = await until_answered(lambda _: visit.balance())
            minor = getattr(balance, "minor", getattr(balance, "amount", None))
            if isinstance(minor, int):
                self._book.note(Balance(ledger.now(), self.msisdn, minor))
            if self._rng.random() < 0.6 and self._tariffs:
                await self._order_at_terminal(visit)
            await visit.close()
        except TerminalError:
            return

    async def _order_at_terminal(self, visit: Visit) -> None:
        change, offering, _ = self._choice()
        quote = await until_answered(lambda key: visit.quote(change, offering, key=key))  # type: ignore[arg-type]
        if not isinstance(quote, Quote):
            raise Stopped
        seen = len(self._sms)
        self._agree(change, offering)
        state = await until_answered(lambda key: visit.place_order(quote.id, key=key))
        await self._receipt(offering, seen, True if isinstance(state, OrderState) else None)

    async def _mistype(self) -> None:
        """Enter a wrong code once or twice, then the right one."""
        for _ in range(self._rng.randint(1, 2)):
            verdict = await self.enter(right=False)
            if verdict != "rejected":
                self._give_up_entries(verdict)
                return
        await self._visit()

    async def _try_old_code(self) -> None:
        """Enter the code of an earlier life; it opens nothing any more."""
        verdict = await self._enter(self._old_code, right=False)
        if verdict != "rejected":
            self._give_up_entries(verdict)

    def _give_up_entries(self, verdict: object) -> None:
        """Stop where nobody knows any more how many tries were taken."""
        if verdict in ("locked", "unknown", "busy"):
            self.sure = False
            raise Stopped

    async def _get_locked(self) -> None:
        """Enter wrong codes until access closes; then the right one does not open it."""
        for _ in range(5):
            if await self.enter(right=False) == "locked":
                break
        if self.locked:
            await self.enter(right=True)
            await self._sms_with(screens.is_lock_notice, self._sms_before)


async def until_answered(call: Callable[[str | None], Awaitable[object]]) -> object:
    """Return the answer of a call, taking it up again under its key; None where nobody knows what became of it.

    That is also where it is refused when it is taken up again: before, it may have been carried out.
    """
    key: str | None = None
    for _ in range(ANSWER_AGAIN):
        try:
            return await call(key)
        except (Unreachable, Untrusted) as error:  # a server whose clock is wrong is not believed
            key = error.key
        except Refused as refused:
            if not refused.unsure:
                raise
            return None
    return None
