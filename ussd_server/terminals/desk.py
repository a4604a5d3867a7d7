"""What a terminal may ask, each carried out to its end: one commit, and the answer is kept with it.

Whoever calls has authenticated the terminal and read the message (`http/terminals.py`); what is decided here is the
conversation's and the record's. Every answer to a POST is committed together with what it did, so a request that comes
again (same terminal, same Idempotency-Key) gets the same answer and does nothing: in this process, in another one,
after a crash. A refusal that changed nothing is not kept; the same request is judged anew.

Only what changes something touches the visit: a terminal that asks for an order's state keeps no visit open.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from menus import events
from menus.events import Reply, Show
from menus.flow import Flow
from menus.session import Values
from ussd_server.channels.terminal import TERMINAL
from ussd_server.metrics import Metrics
from ussd_server.operators.base import InsufficientFunds, NotPossible, Offering, Operator, OperatorUnavailable, Quote
from ussd_server.secrecy.keys import Keys
from ussd_server.secrecy.vault import CodeHasher, Vault
from ussd_server.stores.base import JournalEntry, OutboxEntry, Store, StoreUnavailable
from ussd_server.subscribers import visits
from ussd_server.subscribers.record import Subscriber
from ussd_server.subscribers.visits import Visit
from ussd_server.terminals import budgets, messages, screens
from ussd_server.terminals.entries import Entries
from ussd_server.terminals.problems import Problem, problem
from ussd_server.terminals.requests import (
    DEADLINE_MS,
    MAX_CONFLICTS,
    Answered,
    Outcome,
    Request,
    Requests,
    conflicts,
)
from ussd_server.terminals.tally import Tally
from ussd_server.turns import eager
from ussd_server.turns.operations import offering_value, quote_value
from ussd_server.turns.turn import Tools, Turn

__all__ = ["Answered", "Desk", "Outcome", "Request"]

OPERATOR_WAIT_S: Final = 5
"""How soon to ask again for what the operator could not answer."""
PLACE: Final = "terminal order"
"""Where a shortcut's order is played, so that the screen on show stays what it is."""

T = TypeVar("T")
InVisit = Callable[[Turn, Visit], Awaitable[Outcome]]


class Desk:
    """Serves terminals. Raises StoreUnavailable where the store is away. Where it may have been done all the same
    (`PerhapsDone`), the same request is answered as it was when it comes again.

    `flow` gives the flow in force; `keys` hold the transport keys; `work_waits` says that a commit left work to do.
    """

    def __init__(
        self,
        flow: Callable[[], Flow],
        store: Store,
        operator: Operator,
        vault: Vault,
        keys: Keys,
        hasher: CodeHasher,
        tools: Tools,
        metrics: Metrics,
        work_waits: Callable[[], None],
    ) -> None:
        self._store = store
        self._operator = operator
        self._vault = vault
        self._metrics = metrics
        self._tally = Tally(store)
        self._requests = Requests(flow, store, vault, tools, work_waits, set())
        self._entries = Entries(self._requests, keys, hasher, self._tally, metrics)

    # Before a visit -------------------------------------------------------------------------------------------------

    async def terminal(self, request: Request) -> Outcome:
        """Tell the terminal what is left to it: 200. One that may not serve was refused before, with the reason."""

        async def tell() -> Outcome:
            terminal = request.terminal
            wrong, orders = budgets.entries_left(terminal, request.at), budgets.orders_left(terminal, request.at)
            return _answer(200, messages.TerminalState(terminal.id, terminal.name, wrong, orders))

        return await self._counted("terminal", tell())

    async def order_code(self, request: Request, asked: messages.OrderCode) -> Outcome:
        """Take the order of a code for a number: 202 whatever becomes of it, which only the number is told."""
        counted = False

        async def work(turn: Turn) -> Outcome:
            nonlocal counted
            if not counted:
                refused = await self._tally.order(request.terminal, turn.now)
                if refused is not None:
                    return refused
                counted = True
            data = {"terminal": request.terminal.id}
            turn.outbox.append(OutboxEntry(turn.tools.new_id(), "code_order", turn.now, data))
            return _answer(202, messages.CodeOrdered())

        fingerprint = self._vault.fingerprint("code-orders", asked.msisdn)
        return await self._counted("order_code", self._requests.carry_out(request, asked.msisdn, fingerprint, work))

    async def open_visit(self, request: Request, asked: messages.OpenVisit) -> Outcome:
        """Check a code and open a visit: 201 with the first screen."""

        async def welcome(turn: Turn) -> Answered:
            visit = visits.open(turn.tools.new_id(), request.terminal.id, asked.language or "", turn.now)
            screen = await _first_screen(turn, visit)
            token = self._vault.seal_token(asked.msisdn, visit.id)
            return _answer(201, messages.VisitOpened(token, visits.IDLE_MS // 1000, screen))

        return await self._counted("open_visit", self._entries.check(request, asked, welcome))

    # The screens ----------------------------------------------------------------------------------------------------

    async def begin(self, request: Request, visit: str, asked: messages.Begin) -> Outcome:
        """Show the service's first screen: 200."""

        async def work(turn: Turn, stay: Visit) -> Outcome:
            if asked.language is not None:
                stay = replace(stay, language=asked.language)
            return _answer(200, messages.Shown(await _first_screen(turn, stay)))

        return await self._counted("begin", self._within("begin", request, visit, asked, work))

    async def enter(self, request: Request, visit: str, asked: messages.Input) -> Outcome:
        """Take an input on the screen that is on show: 200 with the next one, and the order that the input placed.

        What the operator does not answer in time comes by SMS, as the screen then says.
        """

        async def work(turn: Turn, stay: Visit) -> Outcome:
            if asked.screen != stay.screen:
                return problem("screen-changed")
            turn.language = stay.language
            before = turn.record
            show = await turn.play(Reply(asked.text), TERMINAL)
            order = _placed(before, turn.record)
            if order is not None:
                stay = visits.with_order(stay, "", order)
            return _answer(200, messages.Entered(_on_show(turn, stay, show), order))

        return await self._counted("enter", self._within("inputs", request, visit, asked, work))

    async def close_visit(self, request: Request, visit: str) -> Outcome:
        """End a visit: 204, also where it had ended or never was: nobody learns which."""
        return await self._counted("close_visit", self._close(request, visit))

    # The shortcuts --------------------------------------------------------------------------------------------------

    async def balance(self, request: Request, visit: str) -> Outcome:
        """Tell the balance: 200."""

        async def work(turn: Turn, stay: Visit) -> Outcome:
            balance = await _ask(self._operator.balance(turn.record.msisdn))
            if isinstance(balance, Problem):
                return balance
            return _answer(200, messages.Balance(screens.money(balance)))

        return await self._counted("balance", self._look(request, visit, work))

    async def offerings(self, request: Request, visit: str, kind: messages.OfferingKind) -> Outcome:
        """Tell what may be had: 200."""

        async def work(turn: Turn, stay: Visit) -> Outcome:
            offered = await _ask(self._operator.offerings(turn.record.msisdn, kind))
            if isinstance(offered, Problem):
                return offered
            return _answer(200, messages.Offerings([_offering(turn, one) for one in offered]))

        return await self._counted("offerings", self._look(request, visit, work))

    async def products(self, request: Request, visit: str) -> Outcome:
        """Tell what the subscriber has: 200."""

        async def work(turn: Turn, stay: Visit) -> Outcome:
            owned = await _ask(self._operator.products(turn.record.msisdn))
            if isinstance(owned, Problem):
                return owned
            services = [_offering(turn, one) for one in owned.services]
            following = None if owned.next_tariff is None else _offering(turn, owned.next_tariff)
            return _answer(200, messages.Products(_offering(turn, owned.tariff), services, following))

        return await self._counted("products", self._look(request, visit, work))

    async def quote(self, request: Request, visit: str, asked: messages.AskQuote) -> Outcome:
        """Price a change: 201 with a quote that this visit may agree to."""

        async def work(turn: Turn, stay: Visit) -> Outcome:
            turn.language = stay.language
            quoted = await _ask(self._operator.quote(turn.record.msisdn, asked.change, asked.offering))
            if not isinstance(quoted, Quote):
                return quoted if isinstance(quoted, Problem) else _not_quoted(quoted)
            value = quote_value(quoted)
            turn.record = replace(turn.record, visit=visits.with_quote(stay, quoted.id, value))
            return _answer(201, screens.quote(value, turn.flow, _language(turn)))

        return await self._counted("quote", self._within("quotes", request, visit, asked, work))

    async def place_order(self, request: Request, visit: str, asked: messages.PlaceOrder) -> Outcome:
        """Order what was quoted: 202 with the order's state; the receipt comes by SMS."""

        async def work(turn: Turn, stay: Visit) -> Outcome:
            quote = stay.quotes.get(asked.quote)
            if quote is None:
                return problem("quote-unknown")
            order = await _order(turn, stay, quote)
            if order is None:
                return problem("not-possible")
            turn.record = replace(turn.record, visit=visits.with_order(stay, asked.quote, order))
            return _answer(202, messages.OrderState(order, "placed"))

        return await self._counted("place_order", self._within("orders", request, visit, asked, work))

    async def order_state(self, request: Request, visit: str, order: str) -> Outcome:
        """Tell where an order of this visit stands: 200."""

        async def work(turn: Turn, stay: Visit) -> Outcome:
            if order not in stay.orders:
                return problem("order-unknown")
            if order in turn.record.pending:
                return _answer(200, messages.OrderState(order, "placed"))
            for ended in await self._store.journal(turn.record.msisdn, "order ended"):
                if ended.data["order"] == order:
                    return _answer(200, messages.OrderState(order, ended.data["outcome"]))
            return problem("order-unknown")

        return await self._counted("order_state", self._look(request, visit, work))

    # How each is carried out ----------------------------------------------------------------------------------------

    async def _within(
        self, operation: str, request: Request, token: str, asked: messages.Ask, work: InVisit
    ) -> Outcome:
        """Carry out once what changes something in a visit; whatever was done, the visit's idle time begins anew."""
        named = self._vault.open_token(token)
        if named is None:
            return problem("visit-unknown")
        msisdn, id = named

        async def in_visit(turn: Turn) -> Outcome:
            stay = _stay(turn, id, request)
            return problem("visit-unknown") if stay is None else await work(turn, stay)

        fingerprint = self._vault.fingerprint(operation, token, msgspec.msgpack.encode(asked))
        return await self._requests.carry_out(request, msisdn, fingerprint, in_visit)

    async def _look(self, request: Request, token: str, work: InVisit) -> Outcome:
        """Answer what changes nothing."""
        named = self._vault.open_token(token)
        if named is None:
            return problem("visit-unknown")
        msisdn, id = named
        turn = await self._requests.look(request, msisdn)
        stay = _stay(turn, id, request)
        if stay is None:
            return problem("visit-unknown")
        turn.language = stay.language
        return await work(turn, stay)

    async def _close(self, request: Request, token: str) -> Outcome:
        named = self._vault.open_token(token)
        for _ in range(MAX_CONFLICTS):
            if named is None:
                return _ended()
            msisdn, id = named
            turn = await self._requests.look(request, msisdn)
            if _stay(turn, id, request) is None:
                return _ended()
            _end(turn)
            turn.journal.append(JournalEntry(turn.now, "visit closed", {"terminal": request.terminal.id}))
            if await self._requests.commit(turn):
                return _ended()
        raise conflicts()

    async def _counted(self, operation: str, answering: Awaitable[Outcome]) -> Outcome:
        """Count the request by what comes of it."""
        result = "failed"
        try:
            outcome = await answering
            result = outcome.kind.name if isinstance(outcome, Problem) else "ok"
            return outcome
        except StoreUnavailable:
            result = "unavailable"
            raise
        finally:
            self._metrics.terminal_requests[operation, result] += 1


# The visit in a turn --------------------------------------------------------------------------------------------------


def _stay(turn: Turn, id: str, request: Request) -> Visit | None:
    """Return the visit as of now; one whose service was deactivated meanwhile, by whatever way, is over."""
    return visits.touch(turn.record.visit, id, request.terminal.id, turn.now) if turn.record.active else None


def _end(turn: Turn) -> None:
    sessions = {name: one for name, one in turn.record.sessions.items() if name != TERMINAL.name}
    turn.record = replace(turn.record, visit=None, sessions=sessions)


async def _first_screen(turn: Turn, visit: Visit) -> messages.Screen:
    """Begin the service anew, whatever was under way at a terminal."""
    _end(turn)
    turn.language = visit.language
    node = turn.flow.match_terminal("menu") or turn.flow.home
    show = await turn.play(events.Begin(turn.tools.new_id(), node), TERMINAL)
    return _on_show(turn, visit, show)


def _on_show(turn: Turn, visit: Visit, show: Show | None) -> messages.Screen:
    """Put another screen on show; where the service was just deactivated it is the visit's last."""
    assert show is not None, "a beginning and a reply always lead to a screen"
    visit = visits.next_screen(replace(visit, language=turn.language))
    if turn.record.active:
        turn.record = replace(turn.record, visit=visit)
    else:
        _end(turn)
    return screens.screen(show, visit.screen, turn.flow, _language(turn))


async def _order(turn: Turn, visit: Visit, quote: Values) -> str | None:
    """Place the order of a quote by the flow, whose receipts follow; None where the flow has no way there."""
    node = turn.flow.match_terminal(quote["change"])
    if node is None:
        return None
    turn.language = visit.language
    turn.agreed = msgspec.json.encode(screens.quote(quote, turn.flow, _language(turn))).decode()
    before = turn.record
    await turn.play(events.Begin(turn.tools.new_id(), node, values={"quote": quote}), TERMINAL, PLACE)
    turn.record = replace(turn.record, sessions=before.sessions)
    return _placed(before, turn.record)


def _placed(before: Subscriber, after: Subscriber) -> str | None:
    """Return the order that is new in a record, the first where a flow places several at once."""
    return next((order for order in after.pending if order not in before.pending), None)


def _language(turn: Turn) -> str:
    return str(turn.facts(TERMINAL)["language"])


# Answers --------------------------------------------------------------------------------------------------------------


async def _ask(question: Coroutine[Any, Any, T]) -> T | Problem:
    """Return the operator's answer; an operator that is away or slow changes nothing, and may be asked again."""
    try:
        answer = await eager.within(question, DEADLINE_MS / 1000)
    except OperatorUnavailable:
        return problem("unavailable", "the operator cannot be reached", retry_after=OPERATOR_WAIT_S)
    if isinstance(answer, eager.Late):
        return problem("unavailable", "the operator does not answer", retry_after=OPERATOR_WAIT_S)
    return answer


def _not_quoted(refused: InsufficientFunds | NotPossible) -> Problem:
    match refused:
        case InsufficientFunds(price=price, balance=balance):
            return problem("insufficient-funds", price=price.minor, balance=balance.minor, currency=price.currency)
        case NotPossible(reason="already"):
            return problem("already-owned")
        case NotPossible(reason="not_offered"):
            return problem("offering-unknown")
        case NotPossible(reason=reason):
            return problem("not-possible", reason.replace("_", " "))


def _offering(turn: Turn, offering: Offering) -> messages.Offering:
    return screens.offering(offering_value(offering), offering.price.currency, turn.flow, _language(turn))


def _answer(status: int, told: messages.Tell) -> Answered:
    return Answered(status, msgspec.json.encode(told))


def _ended() -> Answered:
    return Answered(204, b"")
