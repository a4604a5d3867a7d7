"""Ledger and books -> what was broken of what we promise, and figures. Pure.

Only what is certain is called broken: what a subscriber was never told, and no SMSC was acknowledged, may have happened
or not. docs/reliability.md has the promises in words.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.chaos import screens, shop
from tests.chaos.books import Books
from tests.chaos.dialogues import Step, Ways, kinds, steps
from tests.chaos.ledger import (
    Acknowledged,
    Agreed,
    Balance,
    Entry,
    Event,
    Happened,
    Moved,
    Screen,
    Sent,
    Sms,
    Told,
)
from tests.chaos.lives import Lives

TRIES: Final = 3
"""Wrong entries in a row that close access."""

DAY_MS: Final = 24 * 3_600_000
CLOCK_MS: Final = 15 * 60_000
"""How far a lock's end may be from 24 h after the entry: the clocks of the servers are set forth and back."""

QUICK_MS: Final = 10_000
"""An answer after this time comes of a try that may have lapsed meanwhile (30 s, less if a clock was set forth)."""

LOST_MS: Final = 15_000
"""A link that ends so soon after an acknowledgement may have taken the screen beside it along; then phones give up."""

FREE_MS: Final = 7_000
"""A phone's time that is free of faults for so long is enough for an answer: after 5 s the SMSC sends again, by any
link that it has, what was lost in one that had fallen silent."""

LEFT_SHARE: Final = 50
LEFT_AT_LEAST: Final = 2
"""Of so many USSD inputs one may be left without an answer and without a fault that tells why, and so many in any case:
starts of processes take a busy machine's time from all others."""


@dataclass(frozen=True)
class Violation:
    """A promise that was broken: which, to whom, and what is known of it."""

    rule: str
    msisdn: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.msisdn} {self.what}"


@dataclass
class Seen:
    """The ledger by what it is about.

    `steps` are the USSD inputs, `ways` what there was between phones and servers, `lives` who was forgotten when.
    """

    lives: Lives
    steps: list[Step]
    ways: Ways
    screens: list[Screen] = field(default_factory=list)
    sent: dict[int, Sent] = field(default_factory=dict)
    taken: dict[int, Acknowledged] = field(default_factory=dict)
    sms: dict[str, list[Sms]] = field(default_factory=lambda: defaultdict(list))
    agreed: list[Agreed] = field(default_factory=list)
    told: dict[int, bool] = field(default_factory=dict)
    entries: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    balances: list[Balance] = field(default_factory=list)
    moves: list[Moved] = field(default_factory=list)
    faults: list[Happened] = field(default_factory=list)

    @classmethod
    def of(cls, events: Sequence[Event]) -> "Seen":
        """Sort events."""
        lives = Lives(events)
        seen = cls(lives, steps(events, lives), Ways(events))
        for event in events:
            match event:
                case Sent():
                    seen.sent[event.input] = event
                case Acknowledged():
                    seen.taken[event.input] = event
                case Screen():
                    seen.screens.append(event)
                case Sms():
                    seen.sms[event.msisdn].append(event)
                case Agreed():
                    seen.agreed.append(event)
                case Told():
                    seen.told[event.order] = event.placed
                case Entry():
                    seen.entries[event.msisdn].append(event)
                case Balance():
                    seen.balances.append(event)
                case Moved():
                    seen.moves.append(event)
                case Happened():
                    seen.faults.append(event)
        return seen

    def inputs(self, channel: str, means: str) -> Iterator[Sent]:
        """Yield the acknowledged inputs of a kind, but for those of who was forgotten since: their effect is gone."""
        for sent in self.sent.values():
            wanted = sent.channel == channel and sent.means == means and sent.input in self.taken
            if wanted and not self.lives.earlier(sent):
                yield sent


def check(events: Sequence[Event], books: Books) -> list[Violation]:
    """Return every violation."""
    seen = Seen.of(events)
    found: list[Violation] = []
    for rule in RULES:
        found += rule(seen, books)
    return found + list(check_screens(events, seen.lives))


# Inputs -----------------------------------------------------------------------------------------------------------


def check_taken(seen: Seen, books: Books) -> Iterator[Violation]:
    """Every input was acknowledged in the end, but for those of USSD that a phone gave up."""
    given_up = {step.sent.input for step in seen.steps if step.dropped}
    for sent in seen.sent.values():
        if sent.input not in seen.taken and sent.input not in given_up:
            yield Violation("never acknowledged", sent.msisdn, f"{sent.channel} {sent.means} {sent.text!r}")


def check_answers(seen: Seen, books: Books) -> Iterator[Violation]:
    """Every acknowledged USSD input was answered by the link that acknowledged it, but where that link ended."""
    for step in seen.steps:
        if step.taken and not step.answered and not seen.ways.ends(step.taken.link, step.taken.at, LOST_MS):
            yield Violation("acknowledged without effect", step.sent.msisdn, f"no screen for USSD {step.sent.text!r}")


def check_patience(seen: Seen, books: Books) -> Iterator[Violation]:
    """Hardly a USSD input was left until its phone gave it up, where no fault tells why."""
    left = _left(seen)
    if len(left) > max(LEFT_AT_LEAST, len(seen.steps) // LEFT_SHARE):
        for step in left:
            what = f"USSD {step.sent.text!r} at {step.sent.at}, one of {len(left)} of {len(seen.steps)}"
            yield Violation("left without an answer", step.sent.msisdn, what)


def _left(seen: Seen) -> list[Step]:
    """Return the USSD inputs that nobody took, though there was a way for long enough."""
    return [
        step
        for step in seen.steps
        if step.dropped and not step.taken and seen.ways.free(step.sent.at, step.dropped.at) >= FREE_MS
    ]


def check_probes(seen: Seen, books: Books) -> Iterator[Violation]:
    """Every acknowledged SMS was answered; the answer names what was asked."""
    answered = {(msisdn, screens.unknown_number(sms.text)) for msisdn, received in seen.sms.items() for sms in received}
    for sent in seen.inputs("sms", "probe"):
        if (sent.msisdn, sent.detail) not in answered:
            yield Violation("acknowledged without effect", sent.msisdn, f"no answer to SMS {sent.text!r}")


def check_activations(seen: Seen, books: Books) -> Iterator[Violation]:
    """Whoever activated by an acknowledged SMS was told so; whoever was told so, by SMS or screen, is active.

    Who is active has asked for it, and it was done and written down once.
    """
    by_sms = {sent.msisdn for sent in seen.inputs("sms", "activate")}
    said = [*seen.screens, *(sms for received in seen.sms.values() for sms in received)]
    asked, perhaps = _activating(seen)
    told = {each.msisdn for each in said if screens.fits(each.text, "activated") and each.msisdn in asked}
    active = {msisdn for msisdn, account in books.accounts.items() if account.active}
    for msisdn in sorted((by_sms | told) - active):
        yield Violation("acknowledged without effect", msisdn, "activated and is not active")
    for msisdn in sorted(by_sms - told):
        yield Violation("SMS lost", msisdn, "no answer to the activation")
    for msisdn in sorted(active - asked - perhaps):
        yield Violation("done unasked", msisdn, "active")
    for msisdn, account in books.accounts.items():
        times = account.journal.get("activated", 0)
        if times > 1:
            yield Violation("done twice", msisdn, f"activated {times} times")
        if account.active and not times:
            yield Violation("not written down", msisdn, "active, and no entry in the journal")


def _activating(seen: Seen) -> tuple[set[str], set[str]]:
    """Return who asked to be activated, in the life that the books tell of; and who did as they were forgotten."""
    inputs = [sent for sent in seen.sent.values() if sent.means == "activate"]
    asked = {sent.msisdn for sent in inputs if not seen.lives.earlier(sent)}
    return asked, {sent.msisdn for sent in inputs if seen.lives.under_way(sent, seen.taken.get(sent.input))}


def check_codes(seen: Seen, books: Books) -> Iterator[Violation]:
    """Each acknowledged order of a code brought a code; each code that was issued was told by SMS."""
    ordered = Counter(sent.msisdn for sent in seen.inputs("sms", "code"))
    for msisdn, orders in ordered.items():
        began = seen.lives.began(msisdn)
        before = {screens.code(sms.text) for sms in seen.sms[msisdn] if sms.at <= began}
        codes = {screens.code(sms.text) for sms in seen.sms[msisdn]} - before - {""}
        if len(codes) < orders:
            yield Violation("acknowledged without effect", msisdn, f"{orders} codes ordered, {len(codes)} came")
        account = books.accounts.get(msisdn)
        if account is not None and account.generation != len(codes):
            yield Violation("SMS lost", msisdn, f"{account.generation} codes issued, {len(codes)} came")


# Orders -----------------------------------------------------------------------------------------------------------


def check_orders(seen: Seen, books: Books) -> Iterator[Violation]:
    """Each order that a subscriber was told of is in the operator's books once, and no other is.

    An acknowledged SMS is an answer, too: the subscriber need not wait for it. So is a screen that came too late, and
    one that says that nothing was charged.
    """
    shown = {step.sent.input: False for step in seen.steps if _denied(step)}
    shown |= {
        step.sent.input: True for step in seen.steps if any(screens.fits(one.text, "placed") for one in step.shown)
    }
    placed = Counter((each.msisdn, each.change, each.offering) for each in books.purchases)
    sure: Counter[tuple[str, str, str]] = Counter()
    perhaps: Counter[tuple[str, str, str]] = Counter()
    denied: Counter[tuple[str, str, str]] = Counter()
    for agreed in seen.agreed:
        key = agreed.msisdn, agreed.change, agreed.offering
        by_sms = agreed.input in seen.taken and seen.sent[agreed.input].channel == "sms"
        told = seen.told.get(agreed.order, True if by_sms else shown.get(agreed.input))
        if agreed.at <= seen.lives.began(agreed.msisdn) and told:
            told = None  # what was still to be done is forgotten, too
        denied[key] += told is False and shown.get(agreed.input) is False
        perhaps[key] += told is not False
        sure[key] += told is True
    for msisdn, change, offering in placed.keys() | sure.keys():
        key = msisdn, change, offering
        what = f"{change} {offering}"
        if placed[key] < sure[key]:
            yield Violation("order lost", msisdn, f"{what}: {sure[key]} agreed, {placed[key]} placed")
        if placed[key] > perhaps[key]:
            rule = "charged all the same" if denied[key] else "ordered twice"
            yield Violation(rule, msisdn, f"{what}: {perhaps[key]} agreed, {placed[key]} placed")


def _denied(step: Step) -> bool:
    """Tell whether all that was said to an input is that nothing was charged, by the only server that had it."""
    once = step.taken is not None and step.taken.tries == 1
    return once and bool(step.shown) and all(screens.fits(one.text, "broken") for one in step.shown)


def check_charges(seen: Seen, books: Books) -> Iterator[Violation]:
    """Each completed order was charged once, at its price; the balance is the sum of the operator's ledger."""
    for each in books.purchases:
        due = (-each.price,) if each.price and each.status == "completed" else ()
        if each.charges != due:
            yield Violation("charged wrongly", each.msisdn, f"order {each.id} of {each.price}: {each.charges}")
        # Who performed it tells nobody of its end whose number is forgotten.
        if each.status != "completed" and not seen.lives.began(each.msisdn):
            yield Violation("order lost", each.msisdn, f"{each.change} {each.offering} ended as {each.status}")
    for msisdn, (balance, total) in books.balances.items():
        if balance != total:
            yield Violation("charged wrongly", msisdn, f"balance {balance}, ledger {total}")


def check_receipts(seen: Seen, books: Books) -> Iterator[Violation]:
    """Each completed order was told by SMS, with the balance that it left."""
    names = shop.names()
    for each in books.purchases:
        if seen.lives.began(each.msisdn):
            continue  # the books do not tell in which life it was
        told = any(
            screens.is_receipt(sms.text)
            and names[each.offering] in sms.text
            and screens.balance(sms.text) == each.balance
            for sms in seen.sms[each.msisdn]
        )
        if not told:
            yield Violation("SMS lost", each.msisdn, f"no receipt of {each.change} {each.offering} ({each.id})")


# Codes and locks --------------------------------------------------------------------------------------------------


@dataclass
class _Tries:
    """What is known of a number's tries: `wrong` at least, `maybe` more, closed until `until` (0: not known to be)."""

    wrong: int = 0
    maybe: int = 0
    until: int = 0


def check_entries(seen: Seen, books: Books) -> Iterator[Violation]:
    """Three wrong entries in a row close access for a day; none is forgotten, none is looked at meanwhile."""
    for msisdn, entries in seen.entries.items():
        yield from _earlier_entries(seen, msisdn, entries)
        later = [entry for entry in entries if entry.at > seen.lives.began(msisdn)]
        tries = _Tries(maybe=sum(seen.lives.entry_under_way(entry) for entry in entries))
        newer = [sms.at for sms in seen.sms[msisdn] if screens.code(sms.text)]
        for entry in later:
            replaced = any(at >= entry.at for at in newer)
            yield from (Violation(rule, msisdn, what) for rule, what in _entry(tries, entry, replaced))
        account = books.accounts.get(msisdn)
        if account is None:
            continue
        if tries.until and account.locked_until != tries.until:
            yield Violation(
                "lock forgotten", msisdn, f"until {tries.until}, in the record until {account.locked_until}"
            )
        if not tries.until and not account.locked_until and account.wrong < tries.wrong:
            yield Violation("attempt forgotten", msisdn, f"{tries.wrong} wrong entries, {account.wrong} in the record")
        if tries.until and not any(screens.is_lock_notice(sms.text) for sms in seen.sms[msisdn]):
            yield Violation("SMS lost", msisdn, "its owner was not told of the lock")


def _earlier_entries(seen: Seen, msisdn: str, entries: Sequence[Entry]) -> Iterator[Violation]:
    """Judge what was entered before anybody began to forget the number, but for how it stands in the books."""
    ended = seen.lives.first_end(msisdn)
    tries = _Tries()
    newer = [sms.at for sms in seen.sms[msisdn] if screens.code(sms.text)]
    for entry in entries:
        if ended is not None and entry.at + entry.took < ended:
            replaced = any(at >= entry.at for at in newer)
            yield from (Violation(rule, msisdn, what) for rule, what in _entry(tries, entry, replaced))


def _entry(tries: _Tries, entry: Entry, replaced: bool) -> Iterator[tuple[str, str]]:
    """Judge one entry by what is known, and learn from it."""
    if entry.verdict in ("visit", "rejected", "expired") and tries.until and entry.at < tries.until - CLOCK_MS:
        yield "lock forgotten", f"{entry.verdict} while locked until {tries.until}"
    match entry.verdict:
        case "visit":
            if not entry.right:
                yield "wrong code accepted", f"at {entry.at}"
            if tries.wrong >= TRIES:
                yield "lock forgotten", f"a visit after {tries.wrong} wrong entries"
            tries.wrong = tries.maybe = 0
        case "rejected":
            if entry.right and entry.took < QUICK_MS and not replaced:
                yield "code lost", f"the right code was refused at {entry.at}"
            tries.wrong += 1
            if entry.number > TRIES - tries.wrong:
                yield "attempt forgotten", f"{entry.number} tries left after {tries.wrong} wrong entries"
            if entry.number < TRIES - tries.wrong - tries.maybe:
                yield "counted too much", f"{entry.number} left after {tries.wrong} wrong, {tries.maybe} unanswered"
        case "expired":
            yield "code lost", f"expired at {entry.at}"
        case "locked":
            yield from _locked(tries, entry)
        case "busy" | "unknown" if entry.right:
            # It may have opened a visit, which cleared the count, or have taken a try.
            tries.maybe += tries.wrong + 1
            tries.wrong = 0
        case _:
            tries.maybe += 1


def _locked(tries: _Tries, entry: Entry) -> Iterator[tuple[str, str]]:
    if not tries.until:
        if tries.wrong + tries.maybe + 1 < TRIES:
            yield "counted too much", f"locked after {tries.wrong} wrong entries, {tries.maybe} unanswered"
        if abs(entry.number - entry.at - DAY_MS) > CLOCK_MS:
            yield "lock forgotten", f"locked at {entry.at} until {entry.number}"
    elif entry.number != tries.until:
        yield "lock forgotten", f"locked until {tries.until}, then until {entry.number}"
    tries.until = entry.number


# Answers ----------------------------------------------------------------------------------------------------------


def check_screens(events: Iterable[Event], lives: Lives) -> Iterator[Violation]:
    """Each screen belongs to the last input of its dialogue, or is one of the dialogue's that came again."""
    asked: dict[tuple[str, int], Sent] = {}
    shown: dict[tuple[str, int], set[str]] = defaultdict(set)
    for event in events:
        if isinstance(event, Sent) and event.channel == "ussd":
            key = event.msisdn, event.dialogue
            if event.text.startswith("*"):
                shown[key] = set()
            asked[key] = event
        elif isinstance(event, Screen):
            key = event.msisdn, event.dialogue
            sent = asked.get(key)
            if sent is None:
                yield Violation("answer mixed up", event.msisdn, f"a screen without a dialogue: {event.text!r}")
                continue
            if event.text not in shown[key] and not any(screens.fits(event.text, kind) for kind in kinds(sent, lives)):
                yield Violation("answer mixed up", event.msisdn, f"{event.text!r} after {sent.text!r}")
            shown[key].add(event.text)


def check_balances(seen: Seen, books: Books) -> Iterator[Violation]:
    """Whoever is told a balance is told their own: each has one that tells whose it is."""
    told = [(balance.msisdn, balance.minor) for balance in seen.balances]
    said = [*seen.screens, *(sms for received in seen.sms.values() for sms in received)]
    told += [(each.msisdn, minor) for each in said if (minor := screens.balance(each.text)) is not None]
    for msisdn, minor in told:
        if not shop.is_of(msisdn, minor):
            yield Violation("answer mixed up", msisdn, f"was told the balance {minor}")


def check_settled(seen: Seen, books: Books) -> Iterator[Violation]:
    """When the faults had stopped, everything came to its end."""
    for entry in books.left:
        yield Violation("not settled", "", entry)
    for entry in books.dead:
        yield Violation("given up", "", entry)
    for msisdn, account in books.accounts.items():
        if account.pending:
            yield Violation("not settled", msisdn, f"{account.pending} orders wait for their end")


# Forgotten, and moved ---------------------------------------------------------------------------------------------


def check_forgotten(seen: Seen, books: Books) -> Iterator[Violation]:
    """Who is forgotten is not known any more; who comes back is a stranger until they activate."""
    for msisdn in seen.lives.unended:
        yield Violation("not forgotten", msisdn, "no command said that it is done")
    for each in seen.lives.forgotten:
        for place in each.left:
            yield Violation("not forgotten", each.msisdn, f"its number is still in {place}")
    came_back = {sent.msisdn for sent in seen.sent.values() if sent.means != "receipt" and not seen.lives.earlier(sent)}
    for msisdn, account in books.accounts.items():
        rested = seen.lives.rested(msisdn) and msisdn not in came_back
        if rested and account.known:
            yield Violation("not forgotten", msisdn, f"the store knows of it, and of {account.journal}")
    yield from _remembered(seen)


def _remembered(seen: Seen) -> Iterator[Violation]:
    """Find who was told at their first activation after they were forgotten that they are active already."""
    first: dict[str, Sent] = {}
    unsure: set[str] = set()
    for sent in seen.sent.values():
        if sent.means == "activate" and seen.lives.began(sent.msisdn):
            if not seen.lives.earlier(sent):
                first.setdefault(sent.msisdn, sent)
            elif seen.lives.under_way(sent, seen.taken.get(sent.input)):
                unsure.add(sent.msisdn)
    for msisdn, sent in first.items():
        taken = seen.taken.get(sent.input)
        if taken is None or taken.tries > 1 or msisdn in unsure:
            continue
        said = [*seen.sms[msisdn], *(screen for screen in seen.screens if screen.msisdn == msisdn)]
        told = [each.text for each in said if each.at >= sent.at and screens.fits(each.text, "activated")]
        if told and not any(screens.fits(text, "activated anew") for text in told):
            yield Violation("not forgotten", msisdn, f"{told[0]!r} to its first activation")


def check_moves(seen: Seen, books: Books) -> Iterator[Violation]:
    """Each copy of a store ended, with the same in both."""
    for each in seen.moves:
        if each.wrong:
            yield Violation("not copied", "", f"{each.source} to {each.target}: {each.wrong}")


Rule = Callable[[Seen, Books], Iterator[Violation]]
RULES: Final[tuple[Rule, ...]] = (
    check_taken,
    check_answers,
    check_patience,
    check_probes,
    check_activations,
    check_codes,
    check_orders,
    check_charges,
    check_receipts,
    check_entries,
    check_balances,
    check_settled,
    check_forgotten,
    check_moves,
)


# Figures ----------------------------------------------------------------------------------------------------------


def figures(events: Sequence[Event], books: Books) -> Mapping[str, int]:
    """Return what was done and what came of it, as numbers by name."""
    seen = Seen.of(events)
    sms = [(each.msisdn, each.text) for received in seen.sms.values() for each in received]
    unique = Counter(one for one in sms if _is_unique(one[1]))
    ussd = [sent for sent in seen.sent.values() if sent.channel == "ussd"]
    return {
        "subscribers": len(books.accounts),
        "USSD inputs": len(ussd),
        "USSD inputs acknowledged": sum(sent.input in seen.taken for sent in ussd),
        "USSD inputs given up by a phone": sum(bool(step.dropped) and not step.taken for step in seen.steps),
        "of them without a fault that tells why": len(_left(seen)),
        "screens lost with their link": sum(bool(step.taken) and not step.answered for step in seen.steps),
        "links that ended": seen.ways.ended,
        "screens": len(seen.screens),
        "SMS to the service, acknowledged": sum(
            sent.channel == "sms" and sent.input in seen.taken for sent in seen.sent.values()
        ),
        "inputs sent more than once": sum(each.tries > 1 for each in seen.taken.values()),
        "SMS to subscribers": len(sms),
        "SMS that can be told apart": len(unique),
        "of them come twice or more": sum(times > 1 for times in unique.values()),
        "orders placed and charged": len(books.purchases),
        "orders whose answer was lost": sum(agreed.order not in seen.told for agreed in seen.agreed),
        "codes issued": sum(account.generation for account in books.accounts.values()),
        "codes entered": sum(len(entries) for entries in seen.entries.values()),
        "subscribers forgotten": len(seen.lives.forgotten),
        "of them in the middle of something": seen.lives.broken_off,
        "moves to another store": len(seen.moves),
        "locks": sum(account.locked_until > 0 for account in books.accounts.values()),
        "processes killed": sum(fault.killed for fault in seen.faults),
    }


def _is_unique(text: str) -> bool:
    """Tell whether an SMS says what no other SMS to the same number says."""
    return bool(screens.code(text) or screens.unknown_number(text) or screens.is_receipt(text))
