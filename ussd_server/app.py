"""The composition root: from settings to a running server, and back down without losing anything."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from menus.compiler import Flow, compile_flow
from menus.render import Channel
from ussd_server import store_note
from ussd_server.channels import ussd
from ussd_server.channels.account import Account
from ussd_server.channels.gateway import Gateway
from ussd_server.housekeeping import Housekeeping
from ussd_server.metrics import Metrics
from ussd_server.operators.base import Operator
from ussd_server.operators.catalogue import Catalogue, read_catalogue
from ussd_server.operators.embedded import EmbeddedOperator
from ussd_server.operators.faulty import FaultyOperator
from ussd_server.outbox.deliveries import Deliveries
from ussd_server.outbox.lanes import UNDER_WAY
from ussd_server.outbox.performers import Performers
from ussd_server.outbox.pushes import Manners, Pusher
from ussd_server.outbox.worker import Outbox
from ussd_server.overload import Overload
from ussd_server.readiness import Readiness
from ussd_server.secrecy import agreement, keys
from ussd_server.secrecy.files import UnguardedFile
from ussd_server.secrecy.vault import CodeHasher, Vault
from ussd_server.settings import Settings
from ussd_server.smsc_url import SmscUrl
from ussd_server.store_url import RedisUrl, SqliteUrl
from ussd_server.stores.base import StoreUnavailable
from ussd_server.stores.clock import Clock
from ussd_server.stores.moving import refuse_marked
from ussd_server.stores.opening import open_to_serve
from ussd_server.stores.risks import Risks
from ussd_server.subscribers.codes import DAY_MS, Policy
from ussd_server.terminals.desk import Desk
from ussd_server.turns.admission import Admission
from ussd_server.turns.conversation import Conversations
from ussd_server.turns.letters import Letters
from ussd_server.turns.operations import Queries
from ussd_server.turns.patience import Patience
from ussd_server.turns.quiet import QuietHours
from ussd_server.turns.resources import Limits, Resources
from ussd_server.turns.service import REGISTRY
from ussd_server.turns.turn import Tools

log = structlog.get_logger()

TURNS_STOP_S = 2.5
"""How long a stop waits for turns under way.

An SMSC that answers nothing any more costs all of these limits and the link's linger; together they stay below
the ten seconds of a whole stop.
"""

OUTBOX_STOP_S = 1.5
"""How long SMS and orders under way may then go on while the links are whole."""

DRAIN_MS = 2_000
"""How long unbinding waits for responses that are under way."""

SETTLE_STOP_S = 0.3
"""How long what the last responses led to may take to be kept; what is left is let go of, for whoever starts next."""


ONE_BOOK = (
    "let every server of this store have this data directory, on one machine, or give them a billing system behind "
    "ussd_server/operators/base.py"
)


IF_EMPTIED = "if it has lost its data, stop the servers before they add to it, and bring the data back"


def wall_clock() -> int:
    """Return the time in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def unique_ids() -> Callable[[], str]:
    """Return a maker of ids that no other process and no earlier start makes."""
    boot = secrets.token_hex(6)
    numbers = count(1)
    return lambda: f"{boot}-{next(numbers):x}"


def read_flow(path: Path, screen: Channel) -> Flow:
    """Compile a flow file for this screen. Raises OSError where it cannot be read, FlowErrors with every mistake."""
    return compile_flow(path.read_bytes(), str(path), REGISTRY, screen.fits)


def _embedded_operator(settings: Settings, catalogue: Catalogue) -> Operator:
    books = settings.data / "operator.db"
    if isinstance(settings.store, RedisUrl):
        log.warning(
            "the embedded operator's books are not shared with servers elsewhere", books=str(books), mend=ONE_BOOK
        )
    embedded = EmbeddedOperator(books, catalogue, wall_clock)
    if not settings.operator_delay_s:
        return embedded
    slow = FaultyOperator(embedded)
    slow.delay_ms = round(settings.operator_delay_s * 1000)
    return slow


def _screen(settings: Settings, smscs: Sequence[SmscUrl]) -> Channel:
    """Return the smallest of these operators' USSD screens."""
    return ussd.smallest(settings.ussd_septets, settings.ussd_ucs2_units, [url.dialect for url in smscs])


class Server:
    """One server: everything between the SMSC, the store and the operator, but for HTTP and signals."""

    def __init__(self, settings: Settings, operator: Operator | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.created_keys: Path | None = None
        """The key file, where this start made it."""
        self._agreed = keys.Keyring()
        """The keys that this server had the store remember last."""
        self._operator = operator
        self._screen = _screen(settings, settings.smsc)

    async def start(self) -> None:
        """Read flows and keys, open the store, and begin to bind; every failure says what to mend.

        What can be wrong with the files that were named, or with the store, is found before keys are made.
        """
        settings = self.settings
        store_note.refuse_default(settings)
        flow = read_flow(settings.flows, self._screen)
        catalogue = read_catalogue(settings.catalogue)
        if isinstance(settings.store, SqliteUrl):
            keys.make_directory(settings.data)
        noted_id = store_note.noted_id(settings.data, settings.store)
        self.store = await open_to_serve(settings.store, settings.require_durable, settings.journal_entries, noted_id)
        risks = Risks(self.store, str(settings.store))
        self._clock = Clock(self.store, str(settings.store), wall_clock)
        try:
            self.metrics.store_risks = await risks.look()
            self.metrics.clock_offset = await self._clock.look()
            key_file = await self._take_keys()
            await self._note_store()
            if self._operator is None:
                self._operator = _embedded_operator(settings, catalogue)
        except BaseException:
            await self.store.close()
            raise
        self.keys = keys.KeyFile(key_file)
        self._make_turns(flow, self._operator)
        self._make_channels_and_outbox(self._operator)
        self._housekeeping = Housekeeping(
            self.store,
            self._refresh_keys,
            self._note_keys,
            self._compare_keys,
            risks.look,
            self._clock.look,
            self.metrics,
            wall_clock,
            {**self.gateway.ticks(), "overload": self.overload.tick},
        )
        self._housekeeping.start()
        self.outbox.start()
        self.gateway.start()

    def _make_turns(self, flow: Flow, operator: Operator) -> None:
        """Make what turns an input into its answer. Turns name the outbox and the gateway, which come after them."""
        settings = self.settings
        policy = Policy(
            digits=settings.code_digits,
            max_age_ms=settings.code_max_age_days * DAY_MS,
            orders_an_hour=settings.code_orders_per_hour,
            orders_a_day=settings.code_orders_per_day,
        )
        validity_ms = round(settings.sms_validity_hours * 3_600_000)
        self._new_id = unique_ids()
        self._tools = Tools(Queries(operator), policy, wall_clock, self._new_id, validity_ms)
        self._vault = vault = Vault(self.keys)
        vault.know(flow.entries.keywords)
        self._hasher = CodeHasher(vault, settings.max_checks)
        admission = Admission(settings.max_turns, settings.overload_delay_s)
        self.resources = Resources(
            flow,
            self.store,
            self._tools,
            Limits(
                deadline_ms=round(settings.dialogue_deadline_s * 1000),
                patience=Patience(settings.sms_replies_per_hour),
            ),
            admission,
            self.metrics,
            digest=vault.digest,
            letters=Letters(vault),
            commit_work=lambda change, told: self.outbox.commit_then(change, told),
            work_waits=lambda: self.outbox.wake(),
        )
        self.conversations = Conversations(self.resources)
        self.overload = Overload(
            admission, lambda: self.conversations.under_way, lambda: self.gateway.delays(), self.metrics
        )

    def _make_channels_and_outbox(self, operator: Operator) -> None:
        """Make what inputs come in by, and who works off what turns leave to do; then what terminals ask."""
        settings, vault, tools = self.settings, self._vault, self._tools
        self.deliveries = Deliveries(self.store, self.metrics, wall_clock, self._new_id, lambda: self.outbox.wake())
        self.gateway = Gateway([self._account(url) for url in settings.smsc], UNDER_WAY)
        self._performers = performers = Performers(
            self.store,
            self.resources,
            self.gateway,
            operator,
            vault,
            self._hasher,
            tools,
            settings.sender,
            Pusher(self.store, self.resources, self.gateway, tools, self.metrics, self._manners()),
            self.deliveries,
        )
        self.outbox = Outbox(
            self.store,
            performers.by_kind(),
            self.metrics,
            wall_clock,
            pressed=self.overload.pressed,
            give_up=self.gateway.give_up,
        )
        self.desk = Desk(
            lambda: self.resources.flow,
            self.store,
            operator,
            vault,
            self.keys,
            self._hasher,
            tools,
            self.metrics,
            self.outbox.wake,
        )

    async def _take_keys(self) -> Path:
        """Return the file of the keys, which this makes at a first start, once the store's other servers have them."""
        settings = self.settings
        store, name, file = self.store, str(settings.store), settings.data / keys.FILE_NAME
        try:
            present = keys.load(file)
        except FileNotFoundError:
            present = keys.Keyring()
        await agreement.check(store, name, present, file)
        loaded = keys.load_or_create(settings.data, wall_clock())
        self.created_keys = loaded.path if loaded.created else None
        if loaded.added:
            log.info("keys added", kinds=loaded.added, file=str(loaded.path))
        await agreement.agree(store, name, loaded.ring, file, wall_clock())
        self._agreed = loaded.ring
        return file

    async def _note_store(self) -> None:
        """Let the commands that are given with this data directory know which store its codes are in."""
        where = self.settings
        try:
            if not store_note.note(where.data, where.store, await self.store.identity()):
                log.error("the store is not the one of the last start", store=str(where.store), mend=IF_EMPTIED)
        except UnguardedFile as error:
            log.warning("the store was not noted, commands without --store may take another", cause=str(error))

    def _refresh_keys(self, noted: str) -> bool:
        return self.keys.refresh(lambda ring: agreement.left_for(ring, noted, self.keys.ring, self._agreed))

    async def _note_keys(self) -> None:
        ring = self.keys.ring
        await agreement.agree(self.store, str(self.settings.store), ring, self.keys.path, wall_clock())
        self._agreed = ring

    async def _compare_keys(self) -> None:
        await agreement.check(self.store, str(self.settings.store), self.keys.ring, self.keys.path)

    def _manners(self) -> Manners:
        settings = self.settings

        def quiet() -> QuietHours:
            zone = settings.quiet_timezone or self.resources.flow.style.timezone
            return QuietHours.parse(settings.quiet_hours, ZoneInfo(zone))

        return Manners(
            quiet,
            settings.push_rate,
            round(settings.push_timer_s * 1000),
            settings.push_source,
        )

    def _account(self, url: SmscUrl) -> Account:
        return Account(
            url,
            self.conversations,
            _screen(self.settings, (url,)),
            self.metrics,
            country=self.settings.country,
            now=wall_clock,
            random=random.random,
            boot=f"{self._new_id()}.",
            on_bound=lambda: self.outbox.wake(),
            deliveries=self.deliveries,
            sms_told=lambda sms, outcome: self.outbox.ended(sms, self._performers.sms_ended(outcome)),
            tls=url.context(),
        )

    def reload_flow(self) -> None:
        """Read the flow file again. A flow with mistakes is logged and the one in force stays."""
        try:
            self.resources.flow = flow = read_flow(self.settings.flows, self._screen)
            self._vault.know(flow.entries.keywords)
        except Exception as error:
            log.error("flow not reloaded, the old one stays", cause=str(error))
        else:
            log.info("flow reloaded", revision=self.resources.flow.revision)

    def take_up_keys(self) -> None:
        """Have the key file looked at now, as the server does by itself every few seconds."""
        self._housekeeping.look_at_keys()

    @property
    def bound(self) -> bool:
        """Whether messages flow both ways between us and at least one SMSC."""
        return any(account.bound for account in self.gateway.accounts.values())

    async def readiness(self) -> Readiness:
        """Return whether it can serve: the store, the keys, and one account at least."""
        try:
            await self.store.ping()
            await refuse_marked(self.store, str(self.settings.store))
            store = ""
        except StoreUnavailable as error:
            store = str(error)
        return Readiness(
            {"store": store, "keys": self._housekeeping.other_keys},
            {
                name: "" if account.bound else account.unbound_because or "not bound yet"
                for name, account in self.gateway.accounts.items()
            },
            {"clock": self._clock.wrong},
        )

    async def _turns_ended(self) -> None:
        """Return when all that was read is handed in, and no turn is under way."""
        await self.gateway.handed_in()
        await self.conversations.finished()

    async def stop(self) -> None:
        """Finish outbox work, leave further input to other binds, finish turns, drain and unbind, close.

        All within ten seconds. Input is taken until the turns are all that is left to do, for what comes after waits
        until the bind is gone: that is mostly a few milliseconds. What waits for a response goes on until the links are
        gone: an SMS cancelled before is sent again.
        """
        await self.outbox.drain(OUTBOX_STOP_S)
        self.gateway.leave()
        turns = asyncio.ensure_future(self._turns_ended())
        await asyncio.wait({turns}, timeout=TURNS_STOP_S)
        turns.cancel()
        await self.gateway.stop(DRAIN_MS)
        await self.outbox.stop(SETTLE_STOP_S)
        await self._hasher.close()
        await self._housekeeping.stop()
        await self.store.close()
        if self._operator is not None:
            await self._operator.close()
