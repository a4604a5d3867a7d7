"""What terminals and the server say to each other, as JSON. The same types serve the HTTP endpoint, the client library
and the OpenAPI document.

Money is integer minor units with an ISO 4217 currency. Times are milliseconds since 1970 UTC. Unknown fields are
refused in requests; a client must ignore those it does not know in answers.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Msisdn: TypeAlias = Annotated[str, Meta(pattern="^[1-9][0-9]{6,14}$", description="E.164 digits without +")]
Language: TypeAlias = Literal["ru", "en", "ru-Latn"]
Change: TypeAlias = Literal["change_tariff", "add_service", "remove_service"]
OfferingKind: TypeAlias = Literal["tariff", "service"]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a terminal sends: nothing beyond its fields."""


class Tell(msgspec.Struct, frozen=True):
    """What the server answers."""


# Requests -----------------------------------------------------------------------------------------------------


class OrderCode(Ask, frozen=True):
    """Ask for an access code for this number; it goes there by SMS, where it may."""

    msisdn: Msisdn


class SealedEntry(Ask, frozen=True):
    """What was typed, sealed to the transport key of the id `key`: `box` is a libsodium sealed box in base64."""

    key: Annotated[str, Meta(max_length=64)]
    box: Annotated[str, Meta(max_length=1024)]


class OpenVisit(Ask, frozen=True):
    """Prove with the access code that a number is the person's own."""

    msisdn: Msisdn
    entry: SealedEntry
    language: Language | None = None


class Begin(Ask, frozen=True):
    """Go to the service's first screen."""

    language: Language | None = None


class Input(Ask, frozen=True):
    """What was entered on the screen of this number: an option's or a navigation's key, digits or text."""

    screen: Annotated[int, Meta(ge=0, le=1_000_000)]
    text: Annotated[str, Meta(max_length=160)]


class AskQuote(Ask, frozen=True):
    """Ask what a change to the offering of this id would cost."""

    change: Change
    offering: Annotated[str, Meta(min_length=1, max_length=64)]


class PlaceOrder(Ask, frozen=True):
    """Agree to a quote of this visit: the person has seen price, recurring fee, date and balance after."""

    quote: Annotated[str, Meta(min_length=1, max_length=64)]


# Answers ------------------------------------------------------------------------------------------------------


class Money(Tell, frozen=True):
    """An amount in minor units (kopecks)."""

    minor: int
    currency: str


class Option(Tell, frozen=True):
    """A choice: the key to send, and what is read beside it."""

    key: str
    label: str


class Offering(Tell, frozen=True):
    """A tariff or a service, in the visit's language."""

    id: str
    kind: OfferingKind
    number: str
    name: str
    summary: str
    price: Money
    monthly: Money


class Quote(Tell, frozen=True):
    """What a change would cost; `starts` is `YYYY-MM-DD`. Agree to it with its `id`, within this visit."""

    id: str
    change: Change
    offering: Offering
    price: Money
    monthly: Money
    starts: str
    balance_after: Money


class Screen(Tell, frozen=True):
    """One screen of the service. An `Input` names its `id`. `ends`: nothing can be entered, only begun anew.

    `kind` says what it is; `title` stands above (menus and lists), `text` is read. `quote` is what `confirm` screens
    ask to agree to. `secret`: what is entered must not be shown.
    """

    id: int
    kind: Literal["menu", "list", "message", "confirm", "input", "end"]
    title: str
    text: str
    options: list[Option]
    navigation: list[Option]
    input: Literal["none", "choice", "text", "digits"]
    secret: bool
    ends: bool
    quote: Quote | None = None


class CodeOrdered(Tell, frozen=True):
    """The order was taken. Whether a code follows is told to the number alone."""

    status: Literal["accepted"] = "accepted"


class VisitOpened(Tell, frozen=True):
    """The code was right. `visit` names the visit in the paths that follow; it ends when idle, or by DELETE."""

    visit: str
    idle_seconds: int
    screen: Screen


class Shown(Tell, frozen=True):
    """What is on the screen now."""

    screen: Screen


class Entered(Tell, frozen=True):
    """What is on the screen after an input; `order` names the order that this input placed, where it placed one."""

    screen: Screen
    order: str | None = None


class Balance(Tell, frozen=True):
    """The balance."""

    balance: Money


class Offerings(Tell, frozen=True):
    """What may be had, in the order to show it."""

    offerings: list[Offering]


class Products(Tell, frozen=True):
    """What the subscriber has. `next_tariff` was ordered and begins another day, null where none was."""

    tariff: Offering
    services: list[Offering]
    next_tariff: Offering | None = None


class OrderState(Tell, frozen=True):
    """Where an order stands: `placed` until the operator has finished it. Charged only when completed."""

    order: str
    status: Literal["placed", "completed", "rejected", "failed"]


class PublicKey(Tell, frozen=True):
    """A public key of the server, 32 octets in base64; `current` is the one to use now."""

    id: str
    public: str
    current: bool


class TerminalState(Tell, frozen=True):
    """That this terminal may serve, and what is left of its budgets: more wrong entries, and more orders of codes, now.

    With the last of the wrong entries it is quarantined. Both budgets are of the last hour.
    """

    terminal: str
    name: str
    wrong_entries_left: int
    code_orders_left: int


class ServerKeys(Tell, frozen=True):
    """X25519 keys to seal entries to, and Ed25519 keys that sign answers."""

    transport: list[PublicKey]
    signing: list[PublicKey]
