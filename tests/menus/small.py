"""A small service and the outside that it may name, for tests of the compiler and the engine."""

from menus.compiler import Flow, compile_flow
from menus.registry import Date, Flag, List, Money, Number, Operation, Record, Registry, Text, Word
from menus.render import Channel

ITEM = Record("item", {"id": Text(), "name": Text(localized=True), "price": Money()})
QUOTE = Record("quote", {"price": Money(), "starts": Date()})
REGISTRY = Registry(
    operations={
        operation.name: operation
        for operation in (
            Operation("items", "query", {"ok": List(ITEM), "down": None}, {"kind": Word(frozenset({"red", "blue"}))}),
            Operation("quote", "query", {"ok": QUOTE, "poor": Record("gap", {"missing": Money()})}, {"item": ITEM}),
            Operation("find", "query", {"ok": ITEM, "unknown": None}, {"number": Text()}),
            Operation("verify", "query", {"ok": None, "wrong": None}, {"pin": Text()}),
            Operation("balance", "query", {"ok": Record("sum", {"left": Money()}), "down": None}),
            Operation("buy", "command", {"done": Record("sum", {"left": Money()}), "failed": None}, {"quote": QUOTE}),
            Operation("remember", "command", {"done": None}, {"pin": Text()}),
            Operation("activate", "action", {"done": None, "already": None}),
        )
    },
    facts={"active": Flag(), "age": Number(), "language": Text(), "channel": Text()},
    terminal={"menu": {}, "buy": {"quote": QUOTE}},
)

HEAD = """\
service: shop
languages: [ru, en]
timezone: Europe/Moscow
currency: {code: RUB, ru: "{amount} руб.", en: "{amount} RUB", free: {ru: бесплатно, en: free}}
resume: {after_drop: ask, within: 10 min}
home: main
entries:
  - {ussd: "*1#", to: main}
"""

SHOP = """\
service: shop
languages: [ru, en, ru-Latn]
timezone: Europe/Moscow
currency: {code: RUB, ru: "{amount} руб.", en: "{amount} RUB", free: {ru: бесплатно, en: free}}
resume: {after_drop: ask, within: 10 min}
home: main
availability:
  from: 2009-11-16
  until: 2010-11-15
  numbers: ["7910*", "79850000001"]
  outside: {ru: Услуга вам пока недоступна, en: Not for you yet}
entries:
  - {ussd: "*1#", to: main}
  - {ussd: "*1*7#", to: catalogue}
  - {ussd: "*2#", to: ask_pin}
  - {sms: "100", text: ["?", help], to: help}
  - {sms: "100", text: "", to: catalogue}
  - {sms: "100", text: "buy {number:digits(2..4)}", to: find}
  - {terminal: menu, to: main}
  - {terminal: buy, to: buy_quoted}
nodes:
  main:
    menu: {ru: Магазин, en: Shop}
    options:
      - {ru: Подключить, en: Activate, to: activate, when: not active}
      - {ru: Товары, en: Goods, to: catalogue}
      - {ru: Номер, en: Number, to: ask_number}
      - {ru: Скидка, en: Discount, to: discount, when: active, set: {colour: red}}
      - {ru: ПИН, en: PIN, to: ask_pin}
      - {ru: Помощь, en: Help, to: help}
  activate:
    do: activate
    done: activated
    already: activated
  activated:
    message: {ru: Подключено, en: Activated}
  discount:
    message: {ru: "Скидка {colour}", en: "Discount {colour}"}
  catalogue:
    list: items(red)
    title: {ru: Товары, en: Goods}
    each: item
    item: "{item.name}, {item.price:price}"
    to: item
    empty: nothing
    down: not_now
  item:
    message: {ru: "{item.name} стоит {item.price:price}", en: "{item.name} costs {item.price:price}"}
    options:
      - {ru: Купить, en: Buy, to: ask_quote}
  ask_number:
    input: {ru: Номер товара, en: The number}
    as: number
    accept: digits(2..4)
    invalid: {ru: Две-четыре цифры., en: Two to four digits.}
    to: find
  find:
    query: find(number)
    as: item
    ok: item
    unknown: nothing
  ask_quote:
    query: quote(item)
    as: quote
    ok: confirm
    poor: {to: poor, as: gap}
  poor:
    message: {ru: "Не хватает {gap.missing:money}", en: "Missing {gap.missing:money}"}
  confirm:
    confirm: {ru: "Цена {quote.price:money}, {quote.starts:date}", en: "For {quote.price:money}, {quote.starts:date}"}
    yes: {ru: Купить, en: Buy, to: buy}
    no: main
  buy:
    command: buy(quote)
    say: {ru: Заказ принят, en: Ordered}
    as: sum
    done: {sms: {ru: "{item.name} ваш. Осталось {sum.left:money}", en: "{item.name} is yours. {sum.left:money} left"}}
    failed: {sms: {ru: Не вышло, en: It failed}}
  buy_quoted:
    command: buy(quote)
    say: {ru: Заказ принят, en: Ordered}
    as: sum
    done: {sms: {ru: "Куплено за {quote.price:money}", en: "Bought for {quote.price:money}"}}
    failed: {sms: {ru: Не вышло, en: It failed}}
  ask_pin:
    input: {ru: ПИН, en: PIN}
    as: pin
    accept: digits(4)
    secret: true
    to: verify
  verify:
    query: verify(pin)
    ok: grown
    wrong: ask_pin
  grown:
    check: age is 18 or active
    yes: adult
    no: child
  adult:
    end: {ru: Верно. Взрослый., en: Right. Adult.}
  child:
    end: {ru: Верно. Ребёнок., en: Right. Child.}
  nothing:
    message: {ru: Ничего нет, en: Nothing}
  not_now:
    end: {ru: Не сейчас, en: Not now}
  help:
    end:
      sms: {ru: "Пишите сюда", en: "Text here"}
      other: {ru: "Позвоните нам", en: "Call us"}
"""


def shop() -> Flow:
    return compile_flow(SHOP, "shop.yaml", REGISTRY)


def item(number: int) -> dict[str, object]:
    return {"id": str(number), "name": {"ru": f"Товар {number}", "en": f"Thing {number}"}, "price": number * 1000}


USSD = Channel("ussd", lambda text: len(text) <= 80)
SMS = Channel("sms")
TERMINAL = Channel("terminal")
NOW = 1_259_163_000_000
FACTS: dict[str, str | bool | int] = {
    "msisdn": "79101234567",
    "language": "en",
    "channel": "ussd",
    "active": True,
    "age": 20,
}
