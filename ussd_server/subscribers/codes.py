"""The access code's rules: ordering, checking, the lock. Pure functions over one part of the subscriber's record.

A check is three moves, because looking at the counter first and raising it afterwards lets any number of parallel
guesses through in between:

    reserve    one commit takes one of the three tries before anything is evaluated
    verify     the slow part, outside (`ussd_server.secrecy.vault`)
    settle     one commit says how it went, and gives the try back where the code was right

| state of the record          | order             | reserve    | settle(right)        | settle(wrong)               |
|------------------------------|-------------------|------------|----------------------|-----------------------------|
| fewer than 3 wrong, reserved | Ordered / TooMany | Reserved   | Accepted, count is 0 | Wrong; Locked by the third  |
| 3 wrong and reserved         | Ordered / TooMany | Busy       | Accepted, count is 0 | Wrong; Locked by the third  |
| locked                       | Locked            | Locked     | (nothing is reserved while locked)                 |
| no valid code                | Ordered / TooMany | as above   | never, or Expired    | as above                    |
| disabled code, at a terminal | PhoneOnly         | as above   | never                | as above                    |
| this id is reserved          |                   | Reserved   | as above             | as above                    |
| this id lapsed               |                   | Settled    | no change: Wrong or Locked                         |
| this id was settled          |                   | a new try  | no change: Wrong or Locked                         |

A record without a valid code goes the same way, with the same counters, so that nobody learns from the answers which
numbers have one: `Reserved.sealed` is None then, for which the vault does the same work and finds it wrong.

The id of a reservation is made of the request (never of the entered code), so a request that is sent again finds its
own reservation and takes no second try; that it brings the same guess is for the caller to see to. One that lapsed is
remembered as long as it counts. One that was settled is not: whoever settles keeps the answer in the same commit, and
whoever reserves loads the record, then looks for the answer, and commits on what was loaded, so that no other can
settle in between.

What time does by itself is done first by every function (`_elapse`): a reservation that nobody settled becomes a wrong
entry when its time is up, and a lock that ended clears the count. Refusals are decided without writing anything, so
their caller commits nothing. Times are milliseconds since 1970 UTC; 0 is never.

Times come from a clock that people and machines set. A lock, a reservation, a code and a count of orders hold until a
moment that was written down, at most as far ahead of the clock as the rule says. Where the clock is set back, each
holds longer by that much: no try is given back, no lock lifted, and none lasts longer than 24 h and the step. Where it
is set forward, each ends earlier by that much. How many tries are counted and taken, no clock changes.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import msgspec

SECOND_MS: Final = 1000
HOUR_MS: Final = 3600 * SECOND_MS
DAY_MS: Final = 24 * HOUR_MS

MAX_WRONG: Final = 3
"""Wrong entries in a row that close access (the product's rule 4)."""
LOCK_MS: Final = 24 * HOUR_MS
"""How long access stays closed (the product's rule 4)."""
MAX_WRONG_IN_LIFE: Final = 99
"""Wrong entries that end a code for good: 33 locks, a month of guessing, which finds 8 digits once in a million."""
RESERVATION_MS: Final = 30 * SECOND_MS
"""When an unsettled try counts as wrong: a check takes 22 ms, so its process is gone."""
MIN_DIGITS: Final = 6
"""Three guesses a day at each of a million numbers hit 3 times a day with 6 digits, 0.03 times with 8."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may set. The lock is the product's rule and no setting.

    `digits` is the length of new codes; `max_age_ms` is how long a code is good for; orders are counted in sliding
    windows.
    """

    digits: int = 8
    max_age_ms: int = 90 * DAY_MS
    orders_an_hour: int = 3
    orders_a_day: int = 5

    def __post_init__(self) -> None:
        if self.digits < MIN_DIGITS:
            raise ValueError(f"an access code needs at least {MIN_DIGITS} digits, not {self.digits}")
        if self.max_age_ms <= 0 or self.orders_an_hour < 1 or self.orders_a_day < 1:
            raise ValueError("the age of a code and the number of orders must be positive")


POLICY: Final = Policy()


class SealedCode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A code as it is stored: the argon2id hash under `salt`, encrypted by the key `kid`. Made by `vault.Vault`."""

    kid: str
    salt: bytes
    box: bytes


class Reservation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One try that was taken and not settled: until `lapses` (ms), for the code of this generation."""

    id: str
    lapses: int
    generation: int


class Access(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The code and its lock: the part of the record that guards the terminal channel.

    `generation` counts codes, 0 before the first; `wrong` are wrong entries in a row, `wrong_in_life` those of this
    code; `orders` are the times of the latest orders, oldest first. `lapsed` are the ids of those reservations among
    `wrong` that nobody settled; `told_until` is the end of the lock that the owner was told of.
    """

    sealed: SealedCode | None = None
    generation: int = 0
    issued_at: int = 0
    wrong: int = 0
    wrong_in_life: int = 0
    locked_until: int = 0
    reservations: tuple[Reservation, ...] = ()
    orders: tuple[int, ...] = ()
    lapsed: tuple[str, ...] = ()
    told_until: int = 0


@dataclass(frozen=True, slots=True)
class Ordered:
    """A code may be made and sent; commit `access`."""

    access: Access


@dataclass(frozen=True, slots=True)
class TooMany:
    """Too many orders; the next one is possible at `until`."""

    until: int


@dataclass(frozen=True, slots=True)
class PhoneOnly:
    """The code was ended by too many wrong entries; only its owner's phone may order another."""


@dataclass(frozen=True, slots=True)
class Locked:
    """Access is closed until then; whatever was entered was not looked at."""

    until: int


@dataclass(frozen=True, slots=True)
class Issued:
    """The new code is in `access`; commit it together with the SMS that tells it."""

    access: Access


@dataclass(frozen=True, slots=True)
class Outdated:
    """Another code was issued meanwhile: seal for `generation` and issue again."""

    generation: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """One try is taken: commit `access`, verify against `sealed` (None: no entry can be right), settle by `id`.

    `again` says that this id had been reserved before, so that there is nothing to commit. `closes` is when access
    closes if nobody settles what is reserved by then (ms), 0 where a try is left.
    """

    access: Access
    id: str
    sealed: SealedCode | None
    generation: int
    again: bool = False
    closes: int = 0


@dataclass(frozen=True, slots=True)
class Busy:
    """Every try that is left is being checked at this moment; ask again shortly."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The code is right."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The code is wrong; after `attempts_left` more wrong entries in a row access closes."""

    attempts_left: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The code is the right one but too old; the try is given back, access is not."""


Verdict: TypeAlias = Accepted | Wrong | Locked | Expired


@dataclass(frozen=True, slots=True)
class Settled:
    """How the entry went; commit `access` before telling `verdict`."""

    access: Access
    verdict: Verdict


Condition: TypeAlias = Literal["none", "valid", "expired", "disabled"]


def order(access: Access, now: int, policy: Policy = POLICY) -> Ordered | Locked | TooMany:
    """Ask for a new code. It lifts no lock and clears no count; a refused order is not counted as one."""
    access = _elapse(access, now)
    if access.locked_until:
        return Locked(access.locked_until)
    # The n-th latest order blocks until it leaves its window.
    blocked = max(
        _free_at(access.orders, policy.orders_an_hour, HOUR_MS),
        _free_at(access.orders, policy.orders_a_day, DAY_MS),
    )
    if now < blocked:
        return TooMany(blocked)
    kept = (*access.orders, now)[-max(policy.orders_an_hour, policy.orders_a_day) :]
    return Ordered(msgspec.structs.replace(access, orders=tuple(sorted(kept))))


def order_at_terminal(access: Access, now: int, policy: Policy = POLICY) -> Ordered | Locked | TooMany | PhoneOnly:
    """Ask for a new code where anybody may stand: as `order`, but a code that guessing has ended stays so.

    One order an hour and a day is left for the phone: nobody else can use up all that its owner has.
    """
    if condition(access, now, policy) == "disabled":
        return PhoneOnly()
    fewer = replace(
        policy,
        orders_an_hour=max(1, policy.orders_an_hour - 1),
        orders_a_day=max(1, policy.orders_a_day - 1),
    )
    match order(access, now, fewer):
        case Ordered():
            return order(access, now, policy)  # which keeps as many of the latest orders as the phone's limits need
        case refused:
            return refused


def issue(access: Access, sealed: SealedCode, generation: int, now: int) -> Issued | Outdated:
    """Replace the code by a new one, sealed for `generation`, which must follow the present one.

    The count and the lock stay as they are; the count over the code's life begins anew.
    """
    if generation != access.generation + 1:
        return Outdated(access.generation + 1)
    return Issued(
        msgspec.structs.replace(
            _elapse(access, now), sealed=sealed, generation=generation, issued_at=now, wrong_in_life=0
        )
    )


def reserve(access: Access, reservation: str, now: int, policy: Policy = POLICY) -> Reserved | Settled | Locked | Busy:
    """Take one try before an entry is verified. `reservation` is the caller's id for this entry, always the same.

    An id that is reserved takes no second try, and its time goes on: who verifies again may be late. One that lapsed
    has counted as wrong and must not be verified: it is `Settled`.
    """
    access = _elapse(access, now)
    if reservation in access.lapsed:
        return Settled(access, _refusal(access))
    if access.locked_until:
        return Locked(access.locked_until)
    taken = _find(access, reservation)
    again = taken is not None
    if taken is None:
        if access.wrong + len(access.reservations) >= MAX_WRONG:
            return Busy()
        taken = Reservation(reservation, now + RESERVATION_MS, access.generation)
        access = msgspec.structs.replace(access, reservations=(*access.reservations, taken))
    usable = taken.generation == access.generation and condition(access, now, policy) in ("valid", "expired")
    return Reserved(access, taken.id, access.sealed if usable else None, taken.generation, again, _closes(access))


def settle(access: Access, reservation: str, right: bool, now: int, policy: Policy = POLICY) -> Settled:
    """Say how a reserved try went. Whoever settles too late finds that it counted as wrong, whatever was entered.

    An entry of a code that was replaced between the two moves is wrong, too. An id that is not reserved, because it
    lapsed or was settled, changes nothing and is never accepted: the verdict is how access stands now.
    """
    access = _elapse(access, now)
    taken = _find(access, reservation)
    if taken is None:
        return Settled(access, _refusal(access))
    access = _without(access, taken)
    if right and taken.generation == access.generation:
        match condition(access, now, policy):
            case "valid":
                return Settled(_cleared(access), Accepted())
            case "expired":
                return Settled(access, Expired())
            case "none" | "disabled":
                pass
    access = _count_wrong(access, taken, now)
    return Settled(access, _refusal(access))


def give_back(access: Access, reservation: str, now: int) -> Access:
    """Return the record without this try, which nobody judged; one that has lapsed stays counted."""
    access = _elapse(access, now)
    taken = _find(access, reservation)
    return access if taken is None else _without(access, taken)


def unlock(access: Access, now: int) -> Access:
    """Lift the lock and clear the count, as the support desk may with a reason; the code and its age stay."""
    return _cleared(_elapse(access, now))


def condition(access: Access, now: int, policy: Policy = POLICY) -> Condition:
    """Return what the code is good for, apart from any lock."""
    access = _elapse(access, now)
    if access.sealed is None:
        return "none"
    if access.wrong_in_life >= MAX_WRONG_IN_LIFE:
        return "disabled"
    return "valid" if now < access.issued_at + policy.max_age_ms else "expired"


def locked_until(access: Access, now: int) -> int:
    """Return until when access is closed (ms), 0 where it is open."""
    return _elapse(access, now).locked_until


def attempts_left(access: Access, now: int) -> int:
    """Return how many more wrong entries in a row close access: 0 while it is closed, as in `Wrong` otherwise."""
    return MAX_WRONG - _elapse(access, now).wrong


def untold_lock(access: Access, now: int) -> int:
    """Return until when access is closed (ms) where the owner was not told of it, else 0."""
    until = _elapse(access, now).locked_until
    return until if until != access.told_until else 0


def told(access: Access, until: int) -> Access:
    """Note that the owner is told of the lock that ends at `until`; commit it together with the SMS."""
    return msgspec.structs.replace(access, told_until=until)


def _elapse(access: Access, now: int) -> Access:
    """Do what time alone has done by `now`, as of the moments when it happened, not of the moment somebody looked."""
    if access.reservations:  # hardly ever, and every turn comes by here
        for lapsed in sorted(access.reservations, key=lambda each: each.lapses):
            if lapsed.lapses <= now:
                access = _count_wrong(_without(access, lapsed), lapsed, lapsed.lapses)
                access = msgspec.structs.replace(access, lapsed=(*access.lapsed, lapsed.id))
    if access.locked_until and access.locked_until <= now:
        access = _cleared(access)
    return access


def _cleared(access: Access) -> Access:
    """Return the record without the count, the lock that it led to, and what is known of both."""
    return msgspec.structs.replace(access, wrong=0, locked_until=0, lapsed=(), told_until=0)


def _find(access: Access, id: str) -> Reservation | None:
    return next((each for each in access.reservations if each.id == id), None)


def _closes(access: Access) -> int:
    """Return when the last of the reservations lapses where all tries are taken, else 0."""
    if access.wrong + len(access.reservations) < MAX_WRONG:
        return 0
    return max(each.lapses for each in access.reservations)


def _without(access: Access, reservation: Reservation) -> Access:
    remaining = tuple(each for each in access.reservations if each.id != reservation.id)
    return msgspec.structs.replace(access, reservations=remaining)


def _count_wrong(access: Access, reservation: Reservation, at: int) -> Access:
    """Count one wrong entry that happened at `at`; the third in a row locks from that moment."""
    wrong = access.wrong + 1
    of_this_code = reservation.generation == access.generation
    return msgspec.structs.replace(
        access,
        wrong=wrong,
        wrong_in_life=access.wrong_in_life + of_this_code,
        locked_until=at + LOCK_MS if wrong >= MAX_WRONG else access.locked_until,
    )


def _refusal(access: Access) -> Wrong | Locked:
    return Locked(access.locked_until) if access.locked_until else Wrong(MAX_WRONG - access.wrong)


def _free_at(orders: tuple[int, ...], limit: int, window_ms: int) -> int:
    """Return when one more order fits into the window; `orders` are sorted."""
    return orders[-limit] + window_ms if len(orders) >= limit else 0
