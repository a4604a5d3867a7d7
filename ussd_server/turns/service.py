"""What this server offers to flows: the closed registry of operations and facts.

The names, outcomes and shapes here are the contract between a product owner's `flows.yaml` and the server.
"""

from menus.registry import Date, Flag, Instant, List, Money, Number, Operation, PushName, Record, Registry, Text, Word

OFFERING = Record(
    "offering",
    {
        "id": Text(),
        "kind": Text(),
        "number": Text(),
        "name": Text(localized=True),
        "summary": Text(localized=True),
        "price": Money(),
        "monthly": Money(),
        "owned": Flag(),
    },
)
"""`owned`: the subscriber has it, or has ordered it, so that a change to it would change nothing."""
QUOTE = Record(
    "quote",
    {
        "id": Text(),
        "change": Text(),
        "offering": OFFERING,
        "price": Money(),
        "monthly": Money(),
        "starts": Date(),
        "balance_after": Money(),
        "currency": Text(),
    },
)
SHORTFALL = Record("shortfall", {"price": Money(), "balance": Money(), "missing": Money()})
BALANCE = Record("balance", {"amount": Money()})
UNTIL = Record("until", {"until": Instant(), "minutes": Number(), "hours": Number()})

KIND = Word(frozenset({"tariff", "service"}))
CHANGE = Word(frozenset({"change_tariff", "add_service", "remove_service"}))
LANGUAGE = Word(frozenset({"ru", "en", "ru-Latn"}))

OPERATIONS = (
    Operation("offerings", "query", {"ok": List(OFFERING), "unavailable": None}, {"kind": KIND}),
    Operation(
        "find_offering",
        "query",
        {"ok": OFFERING, "unknown": None, "unavailable": None},
        {"kind": KIND, "number": Text()},
    ),
    Operation("own_tariff", "query", {"ok": OFFERING, "unavailable": None}),
    Operation("own_services", "query", {"ok": List(OFFERING), "unavailable": None}),
    Operation("balance", "query", {"ok": BALANCE, "unavailable": None}),
    Operation(
        "quote",
        "query",
        {
            "ok": QUOTE,
            "insufficient_funds": SHORTFALL,
            "already": None,
            "not_possible": None,
            "unavailable": None,
        },
        {"change": CHANGE, "offering": OFFERING},
    ),
    Operation("submit_order", "command", {"completed": BALANCE, "rejected": None, "failed": None}, {"quote": QUOTE}),
    Operation("activate", "action", {"done": None, "already": None}),
    Operation("deactivate", "action", {"done": None, "already": None}),
    Operation("set_language", "action", {"done": None}, {"language": LANGUAGE}),
    Operation("accept_offers", "action", {"done": None, "already": None}),
    Operation("refuse_offers", "action", {"done": None, "already": None}),
    Operation("push", "action", {"queued": None, "no_consent": None}, {"push": PushName()}),
    Operation("order_code", "action", {"ordered": None, "not_active": None, "locked": UNTIL, "too_many": UNTIL}),
)

TERMINAL = {
    "menu": {},
    "change_tariff": {"quote": QUOTE},
    "add_service": {"quote": QUOTE},
    "remove_service": {"quote": QUOTE},
}
"""How a terminal enters a flow: at its menu, or with a quote that it has shown itself and that was agreed to."""

REGISTRY = Registry(
    operations={operation.name: operation for operation in OPERATIONS},
    terminal=TERMINAL,
    facts={
        "active": Flag(),
        "offers": Flag(),
        "has_code": Flag(),
        "locked": Flag(),
        "language": Text(),
        "channel": Text(),
    },
)
