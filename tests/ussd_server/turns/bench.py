"""The turn and all that it stands on, for tests: real store, engine, operator and vault; the network is a notebook."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import nacl.utils

from menus.compiler import Flow, compile_flow
from menus.render import Channel
from ussd_server.channels import ussd
from ussd_server.channels.base import Answer, Input
from ussd_server.channels.sms import SMS, SendOutcome
from ussd_server.channels.ussd import PushOutcome
from ussd_server.metrics import Metrics
from ussd_server.operators.embedded import EmbeddedOperator, read_catalogue
from ussd_server.operators.faulty import FaultyOperator
from ussd_server.outbox.deliveries import Deliveries
from ussd_server.outbox.leases import LEASE_MS
from ussd_server.outbox.outcomes import Performed, Performer
from ussd_server.outbox.performers import Performers
from ussd_server.outbox.pushes import Manners, Pusher
from ussd_server.outbox.worker import Outbox
from ussd_server.secrecy.keys import Keyring
from ussd_server.secrecy.vault import CodeHasher, Vault
from ussd_server.stores.base import Change, Claimed, OutboxEntry, OutboxKind, Told, ToldHeld, tell_of
from ussd_server.stores.sqlite.store import SqliteStore
from ussd_server.subscribers.codes import Policy
from ussd_server.subscribers.record import Subscriber
from ussd_server.turns.admission import Admission
from ussd_server.turns.conversation import Conversations
from ussd_server.turns.letters import Letters
from ussd_server.turns.operations import Queries
from ussd_server.turns.patience import Patience
from ussd_server.turns.resources import Limits, Resources
from ussd_server.turns.service import REGISTRY
from ussd_server.turns.turn import Tools

MSISDN = "79100000003"
"""In the shipped catalogue: a SIM of five days with 500.00, whose tariff changes are free."""

POOR = "79100000002"
"""In the shipped catalogue: 12.40, less than any tariff change costs."""

SMALL = Path(__file__).with_name("small.yaml")
SCREEN = ussd.screen(182, 80)
MANNERS = Manners()


def small_flow() -> Flow:
    """Compile the small service."""
    return compile_flow(SMALL.read_bytes(), str(SMALL), REGISTRY)


class Network:
    """Takes every SMS and push that the server sends, or refuses it as told. It is also the account `a`."""

    name = "a"
    screen = SCREEN

    def __init__(self) -> None:
        self.sms: list[tuple[str, str, str]] = []
        self.outcome = SendOutcome("sent")
        self.pushed: list[tuple[str, str, bool]] = []
        self.push_outcome = PushOutcome("accepted")
        self.bound = True
        self.on_push: Callable[[], Awaitable[None]] | None = None

    def line(self, account: str) -> "Network | None":
        """Return itself, where it is bound."""
        return self if self.bound and account in ("", "a") else None

    async def push(self, source: str, msisdn: str, text: str, ends: bool) -> PushOutcome:
        """Note a push down as (MSISDN, text, whether it ends)."""
        self.pushed.append((msisdn, text, ends))
        if self.on_push is not None:
            await self.on_push()
        return self.push_outcome

    def send_sms(self, account: str, source: str, msisdn: str, text: str, id: str, tag: object) -> SendOutcome | None:
        """Note an SMS down as (source, MSISDN, text)."""
        if self.outcome.result == "sent":
            self.sms.append((source, msisdn, text))
        return self.outcome


def sms_entry(id: str, due: int, account: str, expires: int = 0) -> OutboxEntry:
    """Return an SMS from 111 as it waits in the outbox."""
    return OutboxEntry(id, "sms", due, {"from": "111", "text": "Hello", "account": account}, expires)


async def perform(performer: Performer, claimed: Claimed) -> Performed:
    """Perform an entry, and return what came of it, as an outbox does."""
    came = performer(claimed)
    assert came is not None
    return came if isinstance(came, Performed) else await came


class Interceptable(SqliteStore):
    """A store whose `load` and `commit` a story may put others in place of: turns go by these, too, then."""

    def remembered(self, msisdn: str) -> tuple[Subscriber, int] | None:
        """Remember nothing where `load` is another."""
        return None if "load" in vars(self) else super().remembered(msisdn)

    def commit_then(self, change: Change, told: Told) -> None:
        """Commit by `commit` where that is another."""
        if "commit" in vars(self):
            tell_of(self.commit(change), told)
        else:
            super().commit_then(change, told)

    def commit_and_hold_then(self, change: Change, now: int, lease: int, told: ToldHeld) -> None:
        """Commit by `commit_and_hold` where that is another."""
        if "commit_and_hold" in vars(self):
            tell_of(self.commit_and_hold(change, now, lease), told)
        else:
            super().commit_and_hold_then(change, now, lease, told)


class Bench:
    """One server without its links. `dial`, `reply`, `text` are what a subscriber does; time moves when told."""

    def __init__(
        self,
        directory: Path,
        *,
        deadline_ms: int = 60_000,
        turns: int = 1000,
        manners: Manners = MANNERS,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self.now = 1_800_000_000_000
        self.paused: list[float] = []
        self.store = Interceptable(directory / "store.db")
        self.operator = FaultyOperator(EmbeddedOperator(":memory:", read_catalogue(), lambda: self.now))
        self.network = Network()
        self.metrics = Metrics()
        ids = (f"id-{number}" for number in count(1))
        self.tools = tools = Tools(
            Queries(self.operator), Policy(), lambda: self.now, lambda: nacl.utils.random(4).hex() + next(ids)
        )
        self.keys = Keyring().completed(self.now)
        self.vault = vault = Vault(self.keys)
        self.hasher = CodeHasher(vault)
        self.admission = Admission(turns)
        self.resources = Resources(
            small_flow(),
            self.store,
            tools,
            Limits(deadline_ms, Patience(replies_an_hour=20)),
            self.admission,
            self.metrics,
            digest=vault.digest,
            letters=Letters(vault),
            commit_work=lambda change, told: self.outbox.commit_then(change, told),
            work_waits=lambda: self.outbox.wake(),
        )
        self.conversations = Conversations(self.resources)
        self.deliveries = Deliveries(
            self.store, self.metrics, lambda: self.now, tools.new_id, lambda: self.outbox.wake()
        )
        performers = Performers(
            self.store,
            self.resources,
            self.network,
            self.operator,
            vault,
            self.hasher,
            tools,
            "111",
            Pusher(self.store, self.resources, self.network, tools, self.metrics, manners),
            self.deliveries,
            self._pause,
        )
        self.sms_ended = performers.sms_ended
        self.performers = performers.by_kind()
        self.outbox = Outbox(self.store, self.performers, self.metrics, lambda: self.now, lease_ms)
        self._sequence = count(1)
        self._dialogues = count(1)
        self.dialogue = 0

    def input(self, kind: str, text: str, *, channel: Channel = SCREEN, number: str = "", **changed: object) -> Input:
        """Make an input as a channel would."""
        usual = {
            "msisdn": MSISDN,
            "account": "a",
            "dialogue": number or f"a/{self.dialogue}",
            "link": "link",
            "sequence": next(self._sequence),
            "at": self.now,
        }
        return Input(kind=kind, text=text, channel=channel, number=number, **(usual | changed))  # type: ignore[arg-type]

    async def take(self, input: Input) -> Answer:
        """Hand an input in and return its answer."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.conversations.take(input, answered.set_result)
        return await answered

    async def dial(self, code: str, **changed: object) -> Answer:
        """Dial a code in a dialogue of its own."""
        self.dialogue = next(self._dialogues)
        return await self.take(self.input("dial", code, **changed))  # type: ignore[arg-type]

    async def reply(self, text: str, **changed: object) -> Answer:
        """Answer the screen."""
        return await self.take(self.input("reply", text, **changed))  # type: ignore[arg-type]

    async def text(self, number: str, text: str, **changed: object) -> Answer:
        """Send an SMS."""
        return await self.take(self.input("message", text, channel=SMS, number=number, **changed))

    async def sms_until(self, amount: int) -> list[str]:
        """Let the outbox work until so many SMS have gone out, and return their texts."""
        await self.until(lambda: len(self.network.sms) >= amount)
        return [text for _, _, text in self.network.sms]

    async def _pause(self, seconds: float) -> None:
        """Wait no time, and note that one was to be waited."""
        self.paused.append(seconds)
        await asyncio.sleep(0)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Let everything go on until something is so."""
        async with asyncio.timeout(20):
            while not reached():
                await asyncio.sleep(0.001)

    async def lose(self, id: str, kind: OutboxKind) -> None:
        """Damage an entry of the outbox, and let it be given up as such."""
        damage = "UPDATE outbox SET data = '{', due = 0, ready = 0 WHERE id = ?"
        assert (await self.store._do(lambda: self.store._db.execute(damage, (id,)))).rowcount == 1
        given_up = self.metrics.outbox[kind, "hopeless"]
        self.outbox.wake()
        await self.until(lambda: self.metrics.outbox[kind, "hopeless"] > given_up and not self.outbox.under_way)

    async def outbox_rests(self) -> None:
        """Let all be done that is claimed, or being claimed."""
        quiet = 0
        while quiet < 2:  # what ended last lets the next be claimed
            await self.store.ping()  # after what was being claimed
            await asyncio.sleep(0.001)
            quiet = 0 if self.outbox.under_way else quiet + 1

    async def journal(self, msisdn: str = MSISDN) -> list[str]:
        """Return the kinds of a subscriber's journal entries, oldest first."""
        return [entry.kind for entry in reversed(await self.store.journal(msisdn))]


def play(directory: Path, story: Callable[[Bench], Awaitable[None]], **settings: Any) -> None:
    """Run a story on a bench of its own."""

    async def main() -> None:
        bench = Bench(directory, **settings)
        bench.outbox.start()
        try:
            await story(bench)
        finally:
            await bench.outbox.stop(5)
            await bench.hasher.close()
            await bench.store.close()
            await bench.operator.close()

    asyncio.run(main())
