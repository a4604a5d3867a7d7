"""`TerminalClient`, and the `Visit` that a right code opens."""

from functools import partial
from ipaddress import ip_address
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self, TypeVar, cast, get_args
from urllib.parse import quote as escaped

import msgspec
import structlog
from yarl import URL

from ussd_server.secrecy.secrets import Secret
from ussd_server.terminal_client.errors import TerminalError, Unreachable
from ussd_server.terminal_client.exchange import Done, Exchange, Refusal, Surroundings, TransportKey, Tries
from ussd_server.terminal_client.outcomes import (
    Busy,
    Declined,
    Expired,
    Locked,
    ProblemDetails,
    Reason,
    Rejected,
    ScreenChanged,
    VisitOver,
)
from ussd_server.terminal_client.patience import Patience
from ussd_server.terminals import messages
from ussd_server.terminals.credentials import Credentials
from ussd_server.terminals.messages import (
    Change,
    Language,
    Money,
    Offering,
    OfferingKind,
    OrderState,
    Products,
    Quote,
    Screen,
)
from ussd_server.terminals.sealing import Entry, seal
from ussd_server.terminals.signatures import Signer

T = TypeVar("T")

PATIENCE: Final = Patience()
SURROUNDINGS: Final = Surroundings()
DECLINED: Final[frozenset[str]] = frozenset(get_args(Reason))

CHECKING: Final = ("check-in-progress", "request-in-progress")
"""Problems which say that an entry is still being checked."""

log = structlog.get_logger()


class TerminalClient:
    """One terminal's access to the server: `async with TerminalClient(credentials) as client:`.

    Calls may run side by side. Each may raise Unreachable, Untrusted and Refused, and their base TerminalError where
    an answer is of a shape that this client does not know. The optional `key` of a call is its Idempotency-Key: leave
    it out, or give that of the `Unreachable` that a call ended with, to go on with that one.
    """

    def __init__(
        self,
        credentials: Credentials,
        url: str | None = None,
        *,
        patience: Patience = PATIENCE,
        tls: SSLContext | None = None,
        plain: bool = False,
        surroundings: Surroundings = SURROUNDINGS,
    ) -> None:
        """Take the credentials, and the server's address where it is another than theirs.

        `tls` replaces the system's trust in certificates. `plain` allows HTTP without TLS to another machine, which
        shows what is asked and answered to who listens (never the code). `surroundings` are for tests. Raises
        ValueError for an address that cannot be used.
        """
        self.url = _origin(credentials.url if url is None else url, plain)
        """The server's address, as requests are signed for it."""
        self._credentials = credentials
        self._around = surroundings
        self._exchange = Exchange(
            self.url,
            Signer(f"{credentials.terminal}/{credentials.key}", credentials.private),
            credentials.signing,
            patience,
            tls,
            surroundings,
        )

    async def __aenter__(self) -> Self:
        """Make ready; nothing is sent before it is needed."""
        self._exchange.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connections; visits that are open end when idle."""
        await self._exchange.close()

    @property
    def credentials(self) -> Credentials:
        """The credentials with the server's signing keys as they are known now; save them when they have changed.

        A server announces a new signing key together with the old one; who saves what was learned can be started
        again after any number of rotations.
        """
        return msgspec.structs.replace(self._credentials, signing=dict(self._exchange.signing_keys))

    async def meet(self) -> None:
        """Ask for the server's keys: whether it is there, and so that nobody waits for them later."""
        await self._exchange.learn_keys(self._exchange.tries())

    async def state(self) -> messages.TerminalState:
        """Ask whether this terminal may serve, and what is left of its budgets.

        Raises Refused where it may not: its problem is `terminal-quarantined`, or `key-unknown` once it was revoked.
        """
        answer = await self._exchange.ask(self._exchange.tries(), "GET", "/v1/terminal", 200)
        if isinstance(answer, Refusal):
            raise answer.error()
        return answer.read(messages.TerminalState)

    async def order_code(self, msisdn: str, *, key: str | None = None) -> None:
        """Order an access code, which goes to the number by SMS, where it may; whether it does is told there alone."""
        body = partial(msgspec.json.encode, messages.OrderCode(msisdn))
        answer = await self._exchange.ask(self._exchange.tries(key), "POST", "/v1/code-orders", 202, body)
        if isinstance(answer, Refusal):
            raise answer.error()

    async def open(
        self, msisdn: str, code: Secret[str], language: Language | None = None, *, key: str | None = None
    ) -> "Visit | Rejected | Locked | Expired | Busy":
        """Prove with the code that the number is the person's own. A check that is sent again costs no second try.

        Raises ValueError for a code that is not printable ASCII or longer than `sealing.MAX_CODE`.
        """
        tries = self._exchange.tries(key)
        try:
            answer = await self._check(tries, msisdn, code, language)
        except Unreachable as error:
            if error.problem is not None and error.problem.name in CHECKING:
                return Busy()
            raise
        if isinstance(answer, Done):
            return Visit(self._exchange, answer.read(messages.VisitOpened))
        problem = answer.problem
        match problem.name:
            case "code-rejected":
                return Rejected(_given(problem.attempts_left, problem))
            case "code-expired":
                return Expired()
            case "access-locked":
                return Locked(_given(problem.locked_until, problem))
            case _:
                raise answer.error()

    async def _check(self, tries: Tries, msisdn: str, code: Secret[str], language: Language | None) -> Done | Refusal:
        """Send the entry, sealed to the server's current key, and to its next one where that has just changed."""
        transport = await self._exchange.transport_key(tries)
        entry = partial(self._entry, tries, msisdn, code, language)
        answer = await self._exchange.ask(tries, "POST", "/v1/visits", 201, partial(entry, transport))
        if isinstance(answer, Refusal) and answer.problem.name == "transport-key-unknown":
            newer = await self._exchange.transport_key(tries, stale=transport)
            if newer != transport:
                answer = await self._exchange.ask(tries, "POST", "/v1/visits", 201, partial(entry, newer))
        return answer

    def _entry(
        self, tries: Tries, msisdn: str, code: Secret[str], language: Language | None, transport: TransportKey
    ) -> bytes:
        """Return the message that opens a visit, sealed now: an entry that was sealed a minute ago is not taken."""
        entry = Entry(
            msisdn=msisdn,
            code=code,
            terminal=self._credentials.terminal,
            attempt=tries.key,
            iat=self._around.now(),
            nonce=self._around.label(),
        )
        sealed = messages.SealedEntry(transport.id, seal(entry, transport.public))
        return msgspec.json.encode(messages.OpenVisit(msisdn, sealed, language))


class Visit:
    """The stay of a person at the terminal, from the right code to card-out: `async with visit:` ends it.

    Some minutes without `begin`, `enter`, `quote` or `place_order` end it, too (`idle_seconds`), and half an hour in
    any case; then every method returns `VisitOver`.
    """

    screen: Screen
    """What is on show: the latest screen that the server answered."""
    idle_seconds: int
    """After how long without one of these calls the server ends the visit."""
    order: str | None
    """The order that the latest input placed, to ask for its state; None where that input placed none."""

    def __init__(self, exchange: Exchange, opened: messages.VisitOpened) -> None:
        """Made by `TerminalClient.open`."""
        self._exchange = exchange
        self._path = f"/v1/visits/{opened.visit}"
        self._over = False
        self.screen = opened.screen
        self.idle_seconds = opened.idle_seconds
        self.order = None

    async def __aenter__(self) -> Self:
        """Return the visit."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the visit; where that does not succeed it ends by itself, when idle."""
        try:
            await self.close()
        except TerminalError as failure:
            # What was done in the visit was done, and an error on the way out would hide that of the visit.
            log.warning("visit left to end when idle", cause=str(failure))

    async def begin(self, language: Language | None = None, *, key: str | None = None) -> Screen | VisitOver:
        """Show the service's first screen, in another language if one is given."""
        answer = await self._post("begin", 200, messages.Begin(language), key)
        return self._shown(answer.read(messages.Shown).screen) if isinstance(answer, Done) else self._ended(answer)

    async def enter(
        self, text: str, *, screen: int | None = None, key: str | None = None
    ) -> Screen | ScreenChanged | VisitOver:
        """Enter an option's or a navigation's key, digits or text on the screen that is on show, or on that of this id.

        Where the input places an order, as the yes of a `confirm` screen does, `order` names it afterwards.
        An input acts on its screen once: the second of a double tap is `ScreenChanged`. Where an answer was lost for
        good (Unreachable) and its `key` as well, `begin` brings back what is on show.
        """
        asked = messages.Input(self.screen.id if screen is None else screen, text)
        answer = await self._post("inputs", 200, asked, key)
        if isinstance(answer, Done):
            entered = answer.read(messages.Entered)
            self.order = entered.order
            return self._shown(entered.screen)
        if answer.problem.name == "screen-changed":
            return ScreenChanged(self.screen)
        return self._ended(answer)

    async def balance(self) -> Money | VisitOver:
        """Return the balance."""
        answer = await self._get("balance", messages.Balance)
        return answer.balance if isinstance(answer, messages.Balance) else answer

    async def offerings(self, kind: OfferingKind) -> list[Offering] | VisitOver:
        """Return what may be had, in the order to show it."""
        answer = await self._get(f"offerings?kind={escaped(kind, safe='')}", messages.Offerings)
        return answer.offerings if isinstance(answer, messages.Offerings) else answer

    async def products(self) -> Products | VisitOver:
        """Return what the subscriber has."""
        return await self._get("products", Products)

    async def quote(self, change: Change, offering: str, *, key: str | None = None) -> Quote | Declined | VisitOver:
        """Return the price of a change to the offering of this id; show it before the order."""
        answer = await self._post("quotes", 201, messages.AskQuote(change, offering), key)
        return answer.read(Quote) if isinstance(answer, Done) else self._declined(answer)

    async def place_order(self, quote: str, *, key: str | None = None) -> OrderState | Declined | VisitOver:
        """Order what the quote of this id said: the person has seen and agreed to it. The receipt comes by SMS."""
        answer = await self._post("orders", 202, messages.PlaceOrder(quote), key)
        return answer.read(OrderState) if isinstance(answer, Done) else self._declined(answer)

    async def order_state(self, order: str) -> OrderState | VisitOver:
        """Return where an order of this visit stands."""
        return await self._get(f"orders/{escaped(order, safe='')}", OrderState)

    async def close(self) -> None:
        """End the visit, as card-out does; a visit that had ended stays so."""
        if not self._over:
            answer = await self._exchange.ask(self._exchange.tries(), "DELETE", self._path, 204)
            if isinstance(answer, Refusal):
                self._ended(answer)
            self._over = True

    async def _post(self, what: str, status: int, asked: messages.Ask, key: str | None) -> Done | Refusal:
        body = partial(msgspec.json.encode, asked)
        return await self._exchange.ask(self._exchange.tries(key), "POST", f"{self._path}/{what}", status, body)

    async def _get(self, what: str, kind: type[T]) -> T | VisitOver:
        answer = await self._exchange.ask(self._exchange.tries(), "GET", f"{self._path}/{what}", 200)
        return answer.read(kind) if isinstance(answer, Done) else self._ended(answer)

    def _shown(self, screen: Screen) -> Screen:
        """Remember the screen; answers may overtake each other, screens count upwards."""
        if screen.id >= self.screen.id:
            self.screen = screen
        return screen

    def _declined(self, answer: Refusal) -> Declined | VisitOver:
        problem = answer.problem
        if problem.name not in DECLINED:
            return self._ended(answer)
        price, balance = (_money(amount, problem) for amount in (problem.price, problem.balance))
        return Declined(cast(Reason, problem.name), problem.detail, price, balance)

    def _ended(self, answer: Refusal) -> VisitOver:
        """Return that the visit is over; raises Refused where it is something else."""
        if answer.problem.name != "visit-unknown":
            raise answer.error()
        self._over = True
        return VisitOver()


def _origin(text: str, plain: bool) -> str:
    """Return the server's address as requests are signed with it."""
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host or url not in (url.origin(), url.origin() / ""):
        raise ValueError("the server's address is written https://HOST or https://HOST:PORT")  # it may hold a password
    if url.scheme == "http" and not plain and not _here(url.host):
        raise ValueError(f"{text} has no TLS, and is not on this machine; write https://")
    return str(url.origin())


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _money(amount: int | None, problem: ProblemDetails) -> Money | None:
    return None if amount is None or problem.currency is None else Money(amount, problem.currency)


def _given(member: int | None, problem: ProblemDetails) -> int:
    """Return an extension member that this problem always has."""
    if member is None:
        raise TerminalError(f"the server's {problem.name} does not say all that it must")
    return member
