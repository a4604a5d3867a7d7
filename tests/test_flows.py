"""The shipped service: every screen that can be reached fits its channel, in every language, whatever is answered."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from menus import engine, own_texts
from menus.compiler import Flow, compile_flow
from menus.events import Answered, Ask, Begin, Event, Late, Order, Reply, Send, Show
from menus.nodes import Listing, Menu
from menus.registry import Date, Flag, Instant, List, Money, Number, Record, Shape, Text
from menus.render import Channel, Page
from menus.screens import shown_values
from menus.session import Session, Value
from smpp.alphabets import septets, ucs2_units
from ussd_server.operators.base import Offering
from ussd_server.operators.catalogue import read_catalogue
from ussd_server.turns.service import QUOTE, REGISTRY

FLOWS = Path(__file__).parents[1] / "flows.yaml"
NOW = 1_259_163_000_000
"""18:30 on 25 November 2009 in Moscow, when the service was nine days old."""
MSISDN = "79101234567"
LANGUAGES = ("ru", "en", "ru-Latn")

# The longest that an operator may plausibly send: names, summaries and sums on screens of 80 characters.
LONG_NAME = {"ru": "Безлимитные разговоры по всей России+ 2009", "en": "Unlimited Calls All Over the Country+ 2009"}
LONG_SUMMARY = {"ru": "Каждая минута внутри сети стоит 0,05 руб. " * 3, "en": "Each on-net minute costs 0.05 RUB. " * 3}
ITEMS = 14
CHANGES = {"change_tariff", "add_service", "remove_service"}


def fits(text: str) -> bool:
    count = septets(text)
    return count <= 182 if count is not None else ucs2_units(text) <= 80


USSD = Channel("ussd", fits)
SMS = Channel("sms")
TERMINAL = Channel("terminal")


@pytest.fixture(scope="module")
def flow() -> Flow:
    return compile_flow(FLOWS.read_bytes(), "flows.yaml", REGISTRY)


def value_of(shape: Shape | None, name: str = "", *, flag: bool = True) -> Value:
    """Return a long value of a shape; everything in it that is yes or no is `flag`."""
    match shape:
        case Text(localized=True):
            return LONG_SUMMARY if name == "summary" else LONG_NAME
        case Text():
            return "1234"
        case Number():
            return 1437
        case Money():
            return -123_456_789
        case Date():
            return "2010-09-28"
        case Instant():
            return NOW
        case Flag():
            return flag
        case Record(fields=fields):
            return {
                field_name: value_of(field_shape, field_name, flag=flag) for field_name, field_shape in fields.items()
            }
        case List(of=of):
            return [value_of(of, flag=flag) for _ in range(ITEMS)]
        case None:
            return None


@dataclass
class Walk:
    """Everything that can be said to a flow, said once at each screen that differs.

    `active`: the service is activated; `owned`: the subscriber has all that is on offer and wants to hear of more,
    otherwise nothing of it.
    """

    flow: Flow
    language: str
    channel: Channel
    active: bool
    owned: bool
    shown: list[tuple[str, Show]] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    concluded: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.facts = {
            "msisdn": MSISDN,
            "language": self.language,
            "active": self.active,
            "has_code": self.active,
            "locked": False,
            "offers": self.owned,
            "channel": self.channel.name,
        }
        self.seen: set[object] = set()
        self.waiting: deque[tuple[Session | None, Event]] = deque()

    def run(self) -> "Walk":
        for node in self.begins():
            values = {"number": "9999", "quote": value_of(QUOTE, flag=self.owned)}
            self.waiting.append((None, Begin(id=f"s-{node}", node=node, values=values)))
        while self.waiting:
            self.take(*self.waiting.popleft())
        return self

    def begins(self) -> list[str]:
        if self.channel.name == "terminal":
            return sorted(filter(None, map(self.flow.match_terminal, REGISTRY.terminal)))
        codes = [self.flow.match_ussd(code) for code in self.flow.codes]
        texts = [
            "",
            "?",
            "баланс",
            "тарифы",
            "мой тариф",
            "услуги",
            "мои услуги",
            "пароль",
            "язык",
            "стоп",
            "акции",
            "111",
            "2163",
        ]
        texts += ["услуга 551", "убрать 551", "211"]
        wanted = (
            codes
            if self.channel.name == "ussd"
            else [self.flow.match_sms(number, text) for number in self.flow.numbers for text in texts]
        )
        pushed = {push.node for push in self.flow.pushes.values()} if self.channel.name == "ussd" else set()
        return sorted({match.node for match in wanted if match is not None} | pushed)

    def take(self, session: Session | None, event: Event) -> None:
        step = engine.step(self.flow, session, event, NOW, self.facts, self.channel)
        assert step == engine.work_out(self.flow, session, event, NOW, self.facts, self.channel)
        for effect in step.effects:
            match effect:
                case Show():
                    self.shown.append((step.session.node if step.session else "", effect))
                    if step.session is not None:
                        self.answer(step.session, effect)
                case Ask():
                    assert step.session is not None
                    for outcome, shape in REGISTRY.operations[effect.operation].outcomes.items():
                        self.go_on(
                            step.session,
                            Answered(effect.id, outcome, value_of(shape, flag=self.owned)),
                            effect.id + outcome,
                        )
                    self.go_on(step.session, Late(effect.id), "late")
                case Order():
                    for outcome, shape in REGISTRY.operations[effect.operation].outcomes.items():
                        self.concluded.add(effect.pending.node)
                        self.sent += [
                            (effect.pending.node, closing.text)
                            for closing in engine.conclude(
                                self.flow, effect.pending, outcome, value_of(shape), NOW, self.facts
                            )
                            if isinstance(closing, Send)
                        ]
                case Send():
                    self.sent.append(("", effect.text))

    def answer(self, session: Session, show: Show) -> None:
        """Reply with every key of the screen, with more, and with what is no option."""
        keys = {option.key for option in (*show.screen.options, *show.screen.navigation)}
        for said in (*sorted(keys), "9", "99", "0", "77", "слово"):
            self.go_on(session, Reply(said), said)

    def go_on(self, session: Session, event: Event, what: str) -> None:
        bound = tuple(sorted(session.values))
        key = (session.node, session.page, session.asked[-1:], bound, bool(session.trail), session.tries, what)
        if key not in self.seen:
            self.seen.add(key)
            self.waiting.append((session, event))


def walks(flow: Flow, channel: Channel) -> Iterator[Walk]:
    for language in LANGUAGES:
        for active, owned in ((True, True), (True, False), (False, False)):
            yield Walk(flow, language, channel, active, owned).run()


def test_the_shipped_flow_has_no_mistake(flow: Flow):
    assert flow.languages == LANGUAGES
    assert flow.codes == ("*111#", "*111*2163#", "*100#", "*111*78#")
    assert set(flow.pushes) == {"tariffs", "balance"}
    assert flow.numbers == {"111", "2163", "6262"}


def test_no_ussd_page_of_any_screen_in_any_language_is_too_long(flow: Flow):
    pages = 0
    for walk in walks(flow, USSD):
        for node, show in walk.shown:
            assert fits(show.text), f"{walk.language} {node}: {show.text!r}"
            assert show.text.strip(), f"{walk.language} {node}: an empty screen"
            if walk.language == "ru-Latn":
                assert septets(show.text) is not None, f"{node}: {show.text!r}"
        pages += len(walk.shown)
    assert pages > 300


def test_a_terminal_enters_by_every_word_that_the_server_knows(flow: Flow):
    nodes = {word: flow.match_terminal(word) for word in REGISTRY.terminal}
    orders = ("change_tariff", "add_service", "remove_service")
    assert nodes == {"menu": "main", **{word: word for word in orders}}
    for word in orders:
        event = Begin("s", word, values={"quote": value_of(QUOTE)})
        facts = {"msisdn": MSISDN, "language": "ru", "active": True, "has_code": True, "locked": False}
        done = engine.step(flow, None, event, NOW, facts | {"channel": "terminal"}, TERMINAL)
        order, show = done.effects
        assert isinstance(order, Order)
        assert (order.operation, order.arguments, order.shown) == ("submit_order", {"quote": value_of(QUOTE)}, "")
        assert isinstance(show, Show)
        assert (show.ends, done.session) == (True, None)


def test_every_screen_at_a_terminal_is_whole_and_tells_nobody_to_do_what_cannot_be_done_there(flow: Flow):
    phone = re.compile(r"6262|Дочитайте|Read to the end|Dochitayte|^\d+\. (Ещё|More|Yeshchyo)$", re.MULTILINE)
    shown = 0
    for walk in walks(flow, TERMINAL):
        for node, show in walk.shown:
            screen = show.screen
            assert show.pages == 1, f"{walk.language} {node}"
            assert screen.text.strip(), f"{walk.language} {node}: an empty screen"
            assert not phone.search(show.text), f"{walk.language} {node}: {show.text!r}"
            if "*111" in show.text:
                assert re.search("телефон|telefon|phone", show.text), f"{walk.language} {node}: {show.text!r}"
            lines = show.text.split("\n")
            offered = [f"{option.key}. {option.label}" for option in (*screen.options, *screen.navigation)]
            assert lines[len(lines) - len(offered) :] == offered
            assert show.ends == (not offered)
            assert screen.kind == "end" or not show.ends
        shown += len(walk.shown)
    assert shown > 150


def test_a_confirm_at_a_terminal_names_its_quote_and_says_all_of_it(flow: Flow):
    money = {"ru": "-1 234 567,89 руб.", "en": "-1,234,567.89 RUB", "ru-Latn": "-1 234 567,89 rub."}
    for walk in walks(flow, TERMINAL):
        confirms = [show.screen for _, show in walk.shown if show.screen.kind == "confirm" and show.screen.about]
        assert bool(confirms) == walk.active
        for screen in confirms:
            assert screen.about == {"quote": value_of(QUOTE, flag=walk.owned)}
            # Once, every month where there is a fee, and what is left.
            assert screen.text.count(money[walk.language].rstrip(".")) >= 2
            assert re.search("28 сентября|28 September|28 sentyabrya", screen.text)


def test_the_owner_of_a_locked_number_is_told_in_at_most_three_sms(flow: Flow):
    values = {"until": NOW, "terminal": "Касса 5, Тверская 12"}
    for language, most in (("ru", 201), ("en", 201), ("ru-Latn", 306)):
        text = own_texts.say(flow, "access_locked_sms", values, language)
        assert (septets(text) or ucs2_units(text)) <= most
        assert re.search("18:30 25 (ноября|November|noyabrya)", text)
        assert re.search("Тверская 12|Tverskaya 12", text)
        assert "*111#" in text


def test_every_node_is_reached_by_ussd_or_sms(flow: Flow):
    reached: set[str] = set()
    for channel in (USSD, SMS):
        for walk in walks(flow, channel):
            reached |= {key[0] for key in walk.seen if isinstance(key, tuple)} | {node for node, _ in walk.shown}
            reached |= walk.concluded
    waiting = {
        name for name, node in flow.nodes.items() if type(node).__name__ in ("Menu", "Listing", "Input", "Asking")
    }
    assert waiting <= reached


def test_every_order_ends_in_an_sms_that_names_it_and_says_what_was_charged(flow: Flow):
    for walk in walks(flow, USSD):
        if not walk.active:
            assert walk.concluded == set()
            continue
        # By their numbers any of them can be asked for; the lists offer no more of what is there than to remove it.
        assert walk.concluded == ({"remove_service"} if walk.owned else CHANGES)
        name = {"ru": LONG_NAME["ru"], "en": LONG_NAME["en"], "ru-Latn": "Bezlimitnye razgovory po vsey Rossii+ 2009"}
        closings = [text for node, text in walk.sent if node]
        assert len(closings) >= 3 * len(walk.concluded)
        assert all(name[walk.language] in text for text in closings)


def test_who_has_not_activated_finds_activation_first_and_the_other_numbers_unchanged(flow: Flow):
    menus = {}
    for active in (True, False):
        facts = {"msisdn": MSISDN, "language": "ru", "active": active, "has_code": False, "locked": False}
        step = engine.step(flow, None, Begin(id="s", node="main"), NOW, {**facts, "channel": "ussd"}, USSD)
        (show,) = step.effects
        assert isinstance(show, Show)
        assert show.pages == 1
        menus[active] = {option.key: option.label for option in show.screen.options}
    assert menus[False]["1"] == "Подключить"
    assert menus[True]["1"] == "Мой тариф"
    assert {**menus[True], "1": ""} == {**menus[False], "1": ""}


def offered(offering: Offering, owned: bool) -> dict[str, Value]:
    """Return an offering of the embedded operator as the flow gets it."""
    name, summary = dict(offering.name), dict(offering.summary)
    number, price, monthly = offering.number, offering.price.minor, offering.monthly.minor
    return {
        "id": offering.id, "kind": offering.kind, "number": number, "name": name, "summary": summary, "price": price,
        "monthly": monthly, "owned": owned,
    }  # fmt: skip


def pages_of_the_catalogue(flow: Flow, language: str) -> Iterator[tuple[str, str, tuple[Page, ...]]]:
    """Yield every screen that names a price of what the embedded operator sells: the node, the name, and its pages."""
    catalogue = read_catalogue()
    for offering, owned in product((*catalogue.tariffs, *catalogue.services), (False, True)):
        sold = offered(offering, owned)
        quote = {
            "id": "q",
            "offering": sold,
            "price": sold["price"],
            "monthly": sold["monthly"],
            "starts": "2009-11-26",
        }
        values = {"tariff": sold, "service": sold, "quote": {**quote, "balance_after": 140_100, "currency": "RUB"}}
        tariff = offering.kind == "tariff"
        for name in ("tariff", "confirm_tariff") if tariff else ("service", "own_service", "confirm_service"):
            node = flow.nodes[name]
            assert isinstance(node, Menu)
            shown = shown_values(node, values)
            yield name, offering.name["ru"], flow.screens.node(name, language, USSD, False, None, shown).pages


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_break_parts_a_price_from_what_it_is_for(flow: Flow, language: str):
    amount = r"(бесплатно|besplatno|free|[\d ,.]+ (руб\.|rub\.|RUB))"
    fees = {
        "ru": rf": ({amount}, )?{amount}/мес\. ",
        "ru-Latn": rf": ({amount}, )?{amount}/mes\. ",
        "en": rf": ({amount}( to add)?, (then )?)?{amount} a month\. ",
    }
    left = rf"(Останется|Ostanetsya|Left:) {amount}"
    for name, _, pages in pages_of_the_catalogue(flow, language):
        assert re.search(fees[language], pages[0].text.replace("\n", " ")), pages[0].text
        if name.startswith("confirm"):
            assert sum(re.search(left, page.text) is not None for page in pages) == 1, pages


def test_a_price_and_the_answer_to_it_share_a_page_unless_the_name_is_long(flow: Flow):
    for language in LANGUAGES:
        for name, offering, pages in pages_of_the_catalogue(flow, language):
            if name.startswith("confirm") and (len(offering) <= 8 or language != "ru"):
                assert [option.key for option in pages[0].options] == ["1", "2"], pages


def test_the_key_for_home_leads_there_from_every_screen_that_waits_and_has_navigation(flow: Flow):
    waiting = [node for node in flow.nodes.values() if isinstance(node, Menu | Listing)]
    hidden = {node.name for node in waiting if "home" not in flow.moves.triggers(node.name)}
    assert hidden == {"confirm_tariff", "confirm_service", "confirm_removal"}
