"""`ussd-server keys`: the server's keys, by name and age only. Servers that run take up every change by themselves."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, get_args

import typer

from ussd_server.cli.common import Data, Failure, SettingsFile, Store, columns, console, examples, moment, now
from ussd_server.cli.progress import progress
from ussd_server.cli.stores import there, with_store
from ussd_server.housekeeping import KEYS_S
from ussd_server.log import mask
from ussd_server.secrecy import agreement, keys
from ussd_server.secrecy.files import UnguardedFile
from ussd_server.secrecy.keys import FILE_NAME, Key, KeyFile, Keyring, load_or_create
from ussd_server.secrecy.rewrap import Pass, rewrap
from ussd_server.secrecy.sealed import HOLDERS, NOTHING, Held, Holder, Holdings, holdings
from ussd_server.secrecy.vault import Vault
from ussd_server.settings import Settings, SettingsError
from ussd_server.settings import load as load_settings
from ussd_server.store_note import noted, option, written
from ussd_server.stores.base import Store as StorePort
from ussd_server.stores.copying import Moved

Rotated = Literal["kek", "transport", "signing"]
NEVER_ROTATED: Final = (
    "the digest key is not rotated: inputs and requests are known again by it, so what was done already "
    "would be done twice after a change; and nothing can be read with it"
)

TAKE_UP_S: float = 1.5 * KEYS_S
"""After which every server that runs has taken up a new key, so that nothing more comes under the old one."""
MAX_PASSES: Final = 5
HOUR_MS: Final = 3_600_000
KEEP_MS: Final = 25 * HOUR_MS
"""How long a key is kept that the store's servers have replaced: visits under it are over by then, and a terminal that
is in use has met the new keys. What the store holds under a kek is counted."""

HELD: Final[dict[Holder, str]] = {
    "code": "{codes}, to be moved with: ussd-server keys rewrap",
    "letters": "the parts of {sms} that is not whole, kept for an hour",
    "outbox": "{sms} with a code in the outbox, sent or given up by {until}",
    "dead letter": "{sms} with a code, given up, to be tried again or thrown away: ussd-server dead-letters list",
    "answer": "{answers} kept for terminals until {until}",
}
"""What a key still seals, and the mend or the end of it."""

NAMED: Final = 5
"""Subscribers whose records cannot be read that are named; of the others only how many there are."""
UNREAD: Final = "go back to a copy of the store, or give them up with: ussd-server subscriber forget"

NEXT_STEPS: Final[dict[Rotated, str]] = {
    "kek": "",
    "transport": (
        "Terminals seal to it once they ask for the server's keys again; what is sealed to the old one still opens."
    ),
    "signing": (
        "Answers are signed by it, and the list of keys by every signing key. A terminal that meets the new key asks "
        "for that list and believes it, because the old key has signed it, too. Retire the old key when every terminal "
        "was in use: one that was switched off all the time believes nothing any more and needs a new file."
    ),
}

app = typer.Typer(
    name="keys",
    no_args_is_help=True,
    help="The server's keys.",
    rich_markup_mode="rich",
    epilog=examples(
        "ussd-server keys init",
        "ussd-server keys list",
        "ussd-server keys rotate kek",
        "ussd-server keys retire kek-5f0c9a1e",
        "ussd-server keys adopt",
    ),
)


@app.command(epilog=examples("ussd-server keys init", "ussd-server keys init --data /var/lib/ussd-server"))
def init(data: Data = None, settings: SettingsFile = None) -> None:
    """Make the keys before the first start, so that a copy of them can be kept."""
    where = load_settings({"data": data, "settings": settings})
    made = load_or_create(where.data, now())
    out = console()
    if made.created:
        out.print(f"Made the keys in {made.path}. Keep a copy of this file: without it no stored code can be read.")
    elif made.added:
        out.print(f"Added keys of the kinds {', '.join(made.added)} to {made.path}. Keep a copy of this file.")
    else:
        out.print(f"The keys are there already: {made.path}. Nothing was changed.")


@app.command("list", epilog=examples("ussd-server keys list", "ussd-server keys list --numbers"))
def list_(
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Count in any case, and show in full the numbers of who cannot be read")
    ] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """List the keys: id, kind, when it was made, age, the one in use; how many codes, and what else, a kek seals.

    No key is ever shown. It is counted where there is more than one kek.
    """
    where = load_settings({"store": store, "data": data, "settings": settings})
    ring = _ring(where)
    keks = ring.of("kek")
    counted = (numbers or len(keks) > 1) and there(where)
    counts, unread = _held(where) if counted else (None, [])
    rows = [
        (
            key.id,
            key.kind,
            moment(key.created),
            _age(now() - key.created),
            "in use" if key.current else "",
            *_cells(key, len(keks), counts),
        )
        for key in ring.keys
    ]
    for line in columns([("ID", "KIND", "MADE", "AGE", "", "CODES", "OTHER"), *rows]):
        print(line)
    if numbers or len(keks) > 1:
        store_ = written(where.store)
        print(f"codes are those in {store_}" if counted else f"no code was counted: {_no_store(where)}")
    here = {key.id for key in keks}
    if lost := sum(_code(held).count for kid, held in (counts or {}).items() if kid not in here):
        print(f"no key here opens {_codes(lost)}; their owners have to order new ones")
    if unread:
        print(f"nothing was counted of {_unread(unread, numbers)}")


@app.command(
    epilog=examples(
        "ussd-server keys rotate kek",
        "ussd-server keys rotate kek --no-rewrap",
        "ussd-server keys rotate transport",
        "ussd-server keys rotate signing",
    )
)
def rotate(
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help="kek, transport or signing")] = "kek",
    move: Annotated[
        bool,
        typer.Option("--rewrap/--no-rewrap", help="kek: move the codes to the new key, or leave that to `keys rewrap`"),
    ] = True,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Make a new key and use it from now on; the one before stays readable until it is retired. Nothing stops.

    kek encrypts what is stored. All codes are put under the new one; if that is interrupted, go on with `keys rewrap`.
    A server with a data directory of its own cannot open them until it has the new keys.json: with several, use
    --no-rewrap, copy the file into every data directory, then give `keys rewrap`.

    transport is what terminals seal codes to. They learn the new one when they ask for the server's keys.

    signing signs answers, and terminals believe only keys that they know. In this order: rotate; wait until every
    terminal was in use, for then it has asked for the list of keys, which both keys sign; retire the old one.

    digest, the fourth kind, is never rotated: what was done already would be done twice.
    """
    rotated = _rotated(kind)
    where = load_settings({"store": store, "data": data, "settings": settings})
    before = _ring(where)
    if rotated == "kek" and move:
        _may_move(where, before)
    ring = keys.change(where.data / FILE_NAME, lambda ring: ring.rotate(rotated, now()).completed(now()))
    out = console()
    made = ring.current(rotated).id
    out.print(f"{made} is in use; servers with {where.data} take it up within {KEYS_S:g} seconds, others need a copy.")
    if rotated == "kek" and move:
        _rewrap(where)
    elif rotated == "kek":
        file = where.data / FILE_NAME
        out.print(f"No code was moved. Copy {file} into every data directory now, then: ussd-server keys rewrap")
    else:
        out.print(NEXT_STEPS[rotated])


@app.command("rewrap", epilog=examples("ussd-server keys rewrap"))
def rewrap_(store: Store = None, data: Data = None, settings: SettingsFile = None) -> None:
    """Put every stored code under the kek in use: what `rotate kek` does after making it. Can be ended at any time.

    Every server must have that key by then, or it cannot open the codes.
    """
    where = load_settings({"store": store, "data": data, "settings": settings})
    _ring(where)
    _rewrap(where)


@app.command(epilog=examples("ussd-server keys retire kek-5f0c9a1e"))
def retire(
    id: Annotated[str, typer.Argument(metavar="ID", help="The key, as `keys list` names it")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where something still needs it: that is lost then")
    ] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Remove a key that was replaced. It is refused for the key in use and, without --force, for one still needed."""
    where = load_settings({"store": store, "data": data, "settings": settings})
    ring = _ring(where)
    ring.retire(id)
    key = ring.get(id)
    assert key is not None
    if not force:
        _is_of_these_servers(where)
    _have_noted(where)
    if not force and (needed := _needed(where, ring, key)):
        raise Failure(f"{id} {needed}; or lose that with --force")
    keys.change(where.data / FILE_NAME, lambda ring: ring.retire(id))
    nothing = f" {written(where.store)} holds nothing under it." if key.kind == "kek" and not force else ""
    console().print(
        f"{id} is retired.{nothing} Destroy its copies, too, where it was rotated because somebody may have it."
    )


def _rotated(kind: str) -> Rotated:
    """Return the kind of key that is to be rotated. Raises SettingsError for one that cannot be."""
    rotated: tuple[Rotated, ...] = get_args(Rotated)
    for each in rotated:
        if kind == each:
            return each
    why = NEVER_ROTATED if kind == "digest" else f"there is no kind of key {kind!r}"
    raise SettingsError(f"{why}. Keys that are rotated: {', '.join(rotated)}")


@app.command(epilog=examples("ussd-server keys adopt", "ussd-server keys adopt --store redis://redis.example/0"))
def adopt(store: Store = None, data: Data = None, settings: SettingsFile = None) -> None:
    """Let a store go with the keys of this data directory, where those that its servers had are lost for good.

    A server refuses to start on a store whose servers have other keys: copy their keys.json. What only the lost keys
    open stays lost: subscribers order new codes, terminals get new files.
    """
    where = load_settings({"store": store, "data": data, "settings": settings})
    ring, file = _ring(where), where.data / FILE_NAME

    async def work(store: StorePort) -> list[str]:
        if users := await store.in_use():
            raise Failure(f"{where.store} is in use by {users}: stop the servers that run on it, they have its keys")
        lost = agreement.lacking(ring, await store.noted_keys())
        while not await store.note_keys(await store.noted_keys(), agreement.note(ring)):
            pass
        return lost

    lost = with_store(where, work)
    told = f" What only {', '.join(lost)} opened is lost." if lost else ""
    console().print(f"{where.store} goes with the keys in {file}.{told}")


def _may_move(where: Settings, ring: Keyring) -> None:
    """Raise where codes could not be moved now, before a key is made: each further try would make another."""

    async def work(store: StorePort) -> None:
        await agreement.check(store, written(where.store), ring, where.data / FILE_NAME)

    if not there(where):
        raise SettingsError(f"{_no_store(where)}; or make the key alone with --no-rewrap")
    with_store(where, work)


def _is_of_these_servers(where: Settings) -> None:
    """Raise SettingsError where there is no such store, or its codes do not tell whether a key can go."""
    try:
        note = noted(where.data)
    except UnguardedFile as error:
        raise Failure(str(error)) from None
    if "store" in where.model_fields_set and note is not None and not note.is_of(where.store, where.data):
        raise SettingsError(
            f"the servers of {where.data} use another store than {written(where.store)}: give "
            f"{option(where.data, note)}, or retire the key with --force"
        )
    if not there(where):
        raise SettingsError(f"{_no_store(where)}; or retire the key with --force")


def _no_store(where: Settings) -> str:
    return f"there is no store {written(where.store)}, say which one the servers use with --store"


def _have_noted(where: Settings) -> None:
    """Let the store know the keys in use before another is gone by which it knows us. Raises KeysError."""

    async def work(store: StorePort) -> None:
        await agreement.agree(store, str(where.store), _ring(where), where.data / FILE_NAME, now())

    if there(where):
        with_store(where, work)


def _ring(settings: Settings) -> Keyring:
    path = settings.data / FILE_NAME
    try:
        return keys.load(path)
    except FileNotFoundError:
        raise SettingsError(
            f"there are no keys in {settings.data}; make them with: ussd-server keys init --data {settings.data}"
        ) from None


def _needed(where: Settings, ring: Keyring, key: Key) -> str:
    """Return why a key that is not in use has to stay, with the mend; "" where it can go."""
    counts, unread = _held(where) if key.kind == "kek" else ({}, [])
    needs = []
    if held := counts.get(key.id):
        needs.append(f"it seals {'; '.join(_told(holder, held[holder]) for holder in HOLDERS if holder in held)}")
    replaced = max(ring.replaced_at(key), agreement.replaced_at(_noted_keys(where), key))
    if not needs and now() < replaced + KEEP_MS:
        wait = moment(replaced + KEEP_MS)
        needs.append(f"it was replaced less than {KEEP_MS // HOUR_MS} hours ago, wait until {wait}")
    sure = "is still" if needs else "may still be"
    if unread:
        needs.append(f"nobody knows what it seals of {_unread(unread)}")
    return f"{sure} needed: {'; '.join(needs)}" if needs else ""


def _noted_keys(where: Settings) -> str:
    async def work(store: StorePort) -> str:
        return await store.noted_keys()

    return with_store(where, work)


def _held(where: Settings) -> tuple[Holdings, list[str]]:
    """Return what is sealed under each key, and whose record cannot be read."""
    unread: list[str] = []

    async def work(store: StorePort) -> Holdings:
        with progress(await store.count_subscribers()) as moved:
            return await holdings(store, lambda more: moved("counting codes", more), unread.append)

    return with_store(where, work), unread


def _unread(numbers: Sequence[str], full: bool = False) -> str:
    """Return how many records cannot be read, whose they are, and the mend."""
    many = "1 subscriber whose record is" if len(numbers) == 1 else f"{len(numbers)} subscribers whose records are"
    if full:
        return f"{many} damaged: {', '.join(numbers)}; {UNREAD}"
    named = ", ".join(map(mask, numbers[:NAMED]))
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"{many} damaged: {named}{more} (in full: ussd-server keys list --numbers); {UNREAD}"


def _told(holder: Holder, held: Held) -> str:
    """Return what a key still seals of one kind, and the mend."""
    return HELD[holder].format(
        codes=_codes(held.count),
        sms=f"{held.count} SMS",
        answers="1 answer" if held.count == 1 else f"{held.count} answers",
        until=moment(held.until),
    )


def _cells(key: Key, keks: int, counts: Holdings | None) -> tuple[str, str]:
    """Return how many codes a key seals, and how much else, where there are so many keks."""
    if key.kind != "kek":
        return "", ""
    if keks == 1:
        return "all", "all"
    if counts is None:
        return "?", "?"
    held = counts.get(key.id, {})
    codes = _code(held).count
    return str(codes), str(sum(each.count for each in held.values()) - codes)


def _code(held: Mapping[Holder, Held]) -> Held:
    return held.get("code", NOTHING)


@dataclass
class _Way:
    """How far a rewrap is: the walk that is under way, and of how many subscribers it has seen to how many."""

    total: int = 0
    walk: int = 1
    seen: int = 0
    unread: list[str] = field(default_factory=list)
    """Whose records this walk could not read."""

    def remark(self) -> str:
        """Return what is said where it is interrupted: how far it came, and how it goes on."""
        again = "ussd-server keys rewrap"
        if self.walk > 1:
            return (
                "interrupted when all codes were moved, but not yet looked for such as servers had meanwhile put under "
                f"an older key; look with: {again}"
            )
        far = f"after {self.seen} of {self.total} subscribers" if self.seen else "before the first subscriber"
        return f"interrupted {far}; what is under an older key still opens, and the rest is moved by: {again}"


def _rewrap(where: Settings) -> None:
    """Put every code under the kek in use, until a walk over all records finds none to move. Raises Failure."""
    held = KeyFile(where.data / FILE_NAME)
    way = _Way()

    async def work(store: StorePort) -> tuple[int, Pass]:
        await agreement.agree(store, str(where.store), held.ring, held.path, now())
        way.total = await store.count_subscribers()
        with progress(way.total) as show:
            return await _walks(store, held, way, show)

    moved, last = with_store(where, work, remark=way.remark)
    console().print(f"{_codes(moved)} moved to {held.current('kek').id}, in {written(where.store)}.")
    if last.moved or last.contended:
        raise Failure(
            "codes under older keys keep coming; are all servers of this version? Then: ussd-server keys rewrap"
        )
    closed = last.damaged - len(way.unread)
    told = [f"no key here opens {_codes(closed)}; their owners have to order new ones"] if closed else []
    if way.unread:
        told.append(f"nothing was moved of {_unread(way.unread)}")
    if told:
        raise Failure("; ".join(told))


async def _walks(store: StorePort, held: KeyFile, way: _Way, show: Moved) -> tuple[int, Pass]:
    """Walk until nothing is left to move, or often enough; return how many codes were moved, and the last walk."""
    vault, moved = Vault(held), 0

    def seen(more: int) -> None:
        way.seen += more
        show("moving codes" if way.walk == 1 else f"looking again, walk {way.walk}", more)

    for walk in range(1, MAX_PASSES + 1):
        way.walk, way.seen, way.unread = walk, 0, []
        if walk > 1:
            # Until now a server may have sealed a code under the key before.
            await asyncio.sleep(TAKE_UP_S)
            held.refresh()
        last = await rewrap(store, vault, seen, way.unread.append)
        moved += last.moved
        if walk > 1 and not last.moved and not last.contended:
            break
    return moved, last


def _codes(number: int) -> str:
    return "1 code" if number == 1 else f"{number} codes"


def _age(ms: int) -> str:
    hours = max(0, ms) // HOUR_MS
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
