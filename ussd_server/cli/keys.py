"""`ussd-server keys`: the server's keys, by name and age only. Servers that run take up every change by themselves."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import typer

from ussd_server.cli.common import Data, Failure, SettingsFile, Store, columns, confirmed, console, moment, now
from ussd_server.cli.epilogs import examples
from ussd_server.cli.joined_keys import Join
from ussd_server.cli.lost_keys import no_keys, refuse_to_make, strange
from ussd_server.cli.progress import progress
from ussd_server.cli.sealed_counts import beyond, codes, count, needs, unread_told
from ussd_server.cli.stores import there, warn_unseen, with_store
from ussd_server.housekeeping import KEYS_S
from ussd_server.secrecy import agreement, keys
from ussd_server.secrecy.files import UnguardedFile
from ussd_server.secrecy.keys import FILE_NAME, Key, KeyFile, Keyring, KeysError, load_or_create
from ussd_server.secrecy.rewrap import Pass, rewrap
from ussd_server.secrecy.sealed import NOTHING, Holdings
from ussd_server.secrecy.vault import Vault
from ussd_server.settings import Settings, SettingsError
from ussd_server.settings import load as load_settings
from ussd_server.store_note import noted, option, written
from ussd_server.stores.base import Store as StorePort
from ussd_server.stores.base import StoreUnavailable
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
        "ussd-server keys join other/keys.json",
        "ussd-server keys adopt",
    ),
)


@app.command(epilog=examples("ussd-server keys init", "ussd-server keys init --data /var/lib/ussd-server"))
def init(
    force: Annotated[
        bool, typer.Option("--force", help="Also where the store's servers have others: what those sealed stays shut")
    ] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Make the keys before the first start, so that a copy of them can be kept.

    It is refused where the store's servers have had keys, which are to be brought back: new ones open nothing of it.
    """
    where = load_settings({"store": store, "data": data, "settings": settings})
    if not force:
        refuse_to_make(where)
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

    No key is ever shown. It is counted where there is more than one kek, or the store's servers have other keys.
    """
    where = load_settings({"store": store, "data": data, "settings": settings})
    ring = _ring(where)
    counts, remarks = _looked(where, ring, numbers)
    rows = [
        (
            key.id,
            key.kind,
            moment(key.created),
            _age(now() - key.created),
            "in use" if key.current else "",
            *_cells(key, counts),
        )
        for key in ring.keys
    ]
    for line in columns([("ID", "KIND", "MADE", "AGE", "", "CODES", "OTHER"), *rows]):
        print(line)
    for line in remarks:
        print(line)


def _looked(where: Settings, ring: Keyring, numbers: bool) -> tuple[Holdings | None, list[str]]:
    """Return what the store holds under each key, None where it was not counted, and what there is to say of it."""
    asked = numbers or len(ring.of("kek")) > 1
    try:
        strangers = strange(where, ring)
    except (SettingsError, StoreUnavailable, KeysError) as error:
        if asked:
            raise
        return None, [f"the keys were not compared with those of the store's servers: {error}"]
    if strangers is None:
        return None, [f"no code was counted: {_no_store(where)}"]
    if not asked and not strangers:
        return None, ["no code was counted, as there is one kek: ussd-server keys list --numbers counts"]
    counts, unread = count(where)
    remarks = [f"codes are those in {written(where.store)}"]
    if strangers:
        mend = agreement.mend(ring, _noted_keys(where), where.data / FILE_NAME)
        remarks.append(f"its servers have {', '.join(strangers)}, which are not here: {mend}")
    if lost := beyond(counts, [key.id for key in ring.keys]):
        remarks.append(f"no key here opens {lost}" + ("" if strangers else "; owners of codes have to order new ones"))
    if unread:
        remarks.append(f"nothing was counted of {unread_told(unread, numbers)}")
    return counts, remarks


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
    _may_rotate(where, before, moved=rotated == "kek" and move)
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


@app.command(
    epilog=examples(
        "ussd-server keys join other/keys.json",
        "ussd-server keys join backup/keys.json --no-signing --data /var/lib/ussd-server",
    )
)
def join(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The other key file; it is only read")],
    signing: Annotated[
        bool | None,
        typer.Option(
            "--signing/--no-signing",
            help="Signing keys that the store's servers do not use: bring them all the same, or leave them out",
            show_default=False,
        ),
    ] = None,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Add the keys of another keys.json to this one, where two hold different keys: what either sealed opens then.

    The keys that the store's servers use stay in use, and the others are older ones. Of two that the store does not
    know, the newer is used. A key that FILE has as an older one was replaced there, and gives way.

    Terminals believe every signing key that is there. So it is refused where one comes that the store's servers do not
    use, until you say whether it may: it may be another service's, or one that was retired because somebody has it.
    """
    where = load_settings({"store": store, "data": data, "settings": settings})
    _ring(where)
    noted = _noted_keys(where) if there(where) else ""
    work = Join(file, where.data / FILE_NAME, written(where.store), noted, signing)
    after = keys.change(work.into, work)
    if not (told := work.told(after)):
        console().print(f"{work.into} has every key of {file} already. Nothing was changed.")
        return
    for line in columns([("KIND", "IN USE", "", "CAME"), *told]):
        print(line)
    console().print(
        f"Servers with {where.data} take it up within {KEYS_S:g} seconds. Put a copy of {work.into} into every other "
        "data directory now, then: ussd-server keys rewrap"
    )
    if lacking := agreement.lacking(after, noted):
        console().print(
            f"The servers of {written(where.store)} have {', '.join(lacking)}, which {work.into} still lacks: join the "
            "file that has them, too."
        )


@app.command(epilog=examples("ussd-server keys adopt", "ussd-server keys adopt --store redis://redis.example/0"))
def adopt(
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking")] = False,
    store: Store = None,
    data: Data = None,
    settings: SettingsFile = None,
) -> None:
    """Let a store go with the keys of this data directory, where those that its servers had are lost for good.

    A server refuses to start on a store whose servers have other keys: bring back their keys.json. What only the lost
    keys open stays lost: subscribers order new codes, terminals get new files. It is counted, told and asked for first.
    """
    where = load_settings({"store": store, "data": data, "settings": settings})
    ring, file, unseen = _ring(where), where.data / FILE_NAME, cache(warn_unseen)

    async def work(store: StorePort, before: str | None = None) -> str:
        """Return what was noted; with `before`, note these keys in its place."""
        users = await store.in_use()
        if users is None:
            unseen(str(where.store))
        elif users:
            raise Failure(
                f"{where.store} is in use by {users}, which has its keys in memory: find a copy of their {FILE_NAME} "
                "before you stop it; only where none is left, stop all servers and give this command again"
            )
        if before is not None and not await store.note_keys(before, agreement.note(ring)):
            raise Failure(f"other keys were noted in {where.store} meanwhile, and nothing was changed; look again")
        return await store.noted_keys()

    before = with_store(where, work)
    if lost := agreement.lacking(ring, before):
        _tell_loss(where, ring, lost)
        if not yes and not confirmed("Give all that up for good?"):
            raise Failure("nothing was changed")
    with_store(where, lambda port: work(port, before))
    told = f" What only {', '.join(lost)} opened is lost." if lost else ""
    console().print(f"{where.store} goes with the keys in {file}.{told}")


def _tell_loss(where: Settings, ring: Keyring, lost: Sequence[str]) -> None:
    """Say what goes with keys that are lost, before they are given up."""
    counts, unread = count(where)
    shut = beyond(counts, [key.id for key in ring.keys])
    print(f"The servers of {written(where.store)} have {', '.join(lost)}, which are not here.")
    print(f"No key here opens {shut}." if shut else "Nothing there is sealed under a key that is not here.")
    if unread:
        print(f"Nothing was counted of {unread_told(unread)}.")
    print("Owners of codes would have to order new ones, and terminals would need new files.")
    print(f"Where a copy of their {FILE_NAME} is left, bring that back instead: then nothing is lost.")


def _may_rotate(where: Settings, ring: Keyring, moved: bool) -> None:
    """Raise before a key is made that the store's servers could not join theirs, or that codes could not be moved to.

    Each further try would make another. Where codes are not moved there need be no store yet.
    """

    async def work(store: StorePort) -> None:
        await agreement.check(store, written(where.store), ring, where.data / FILE_NAME)

    if there(where):
        with_store(where, work)
    elif moved:
        raise SettingsError(f"{_no_store(where)}; or make the key alone with --no-rewrap")


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
        raise no_keys(settings) from None


def _needed(where: Settings, ring: Keyring, key: Key) -> str:
    """Return why a key that is not in use has to stay, with the mend; "" where it can go."""
    counts, unread = count(where) if key.kind == "kek" else ({}, [])
    reasons = []
    if held := counts.get(key.id):
        reasons.append(f"it seals {needs(held)}")
    replaced = max(ring.replaced_at(key), agreement.replaced_at(_noted_keys(where), key))
    if not reasons and now() < replaced + KEEP_MS:
        wait = moment(replaced + KEEP_MS)
        reasons.append(f"it was replaced less than {KEEP_MS // HOUR_MS} hours ago, wait until {wait}")
    sure = "is still" if reasons else "may still be"
    if unread:
        reasons.append(f"nobody knows what it seals of {unread_told(unread)}")
    return f"{sure} needed: {'; '.join(reasons)}" if reasons else ""


def _noted_keys(where: Settings) -> str:
    async def work(store: StorePort) -> str:
        return await store.noted_keys()

    return with_store(where, work)


def _cells(key: Key, counts: Holdings | None) -> tuple[str, str]:
    """Return how many codes a key seals, and how much else."""
    if key.kind != "kek":
        return "", ""
    if counts is None:
        return "?", "?"
    held = counts.get(key.id, {})
    own = held.get("code", NOTHING).count
    return str(own), str(sum(each.count for each in held.values()) - own)


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
        await store.relist()  # whom the walk misses, a key may be retired of that is needed
        way.total = await store.count_subscribers()
        with progress(way.total) as show:
            return await _walks(store, held, way, show)

    moved, last = with_store(where, work, remark=way.remark)
    console().print(f"{codes(moved)} moved to {held.current('kek').id}, in {written(where.store)}.")
    if last.moved or last.contended:
        raise Failure(
            "codes under older keys keep coming; are all servers of this version? Then: ussd-server keys rewrap"
        )
    closed = last.damaged - len(way.unread)
    told = [f"no key here opens {codes(closed)}; their owners have to order new ones"] if closed else []
    if way.unread:
        told.append(f"nothing was moved of {unread_told(way.unread)}")
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


def _age(ms: int) -> str:
    hours = max(0, ms) // HOUR_MS
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
