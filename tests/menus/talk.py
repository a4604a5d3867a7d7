"""A subscriber who talks with a small shop: what is dialled and typed, what is answered outside, what is read."""

from dataclasses import dataclass, field
from typing import Any

from menus.compiler import Flow
from menus.engine import step
from menus.events import Answered, Ask, Begin, Effect, Event, Late, Reply, Show
from menus.render import Channel
from menus.session import Session, Value
from tests.menus.small import FACTS, NOW, USSD, item, shop

FLOW = shop()
ITEMS = [item(number) for number in range(1, 13)]
ANSWERS: dict[str, tuple[str, Value]] = {
    "items": ("ok", ITEMS),
    "find": ("ok", ITEMS[4]),
    "quote": ("ok", {"price": 5000, "starts": "2009-12-01"}),
    "verify": ("ok", None),
    "activate": ("done", None),
}
MINUTE = 60_000
MAIN = "Shop\n1. Goods\n2. Number\n3. Discount\n4. PIN\n5. Help"
THING = "Thing 3 costs 30 RUB\n1. Buy\n0. Back\n00. Home"


@dataclass
class Talk:
    """A subscriber's conversation, with the answers of the outside."""

    flow: Flow = FLOW
    channel: Channel = USSD
    facts: dict[str, str | bool | int] = field(default_factory=lambda: dict(FACTS))
    answers: dict[str, tuple[str, Value]] = field(default_factory=lambda: dict(ANSWERS))
    session: Session | None = None
    effects: list[Effect] = field(default_factory=list)
    now: int = NOW

    def does(self, event: Event, channel: Channel | None = None) -> Show | None:
        """Step to the end of the turn; return what is shown."""
        self.effects = []
        while True:
            facts = self.facts | {"channel": (channel or self.channel).name}
            done = step(self.flow, self.session, event, self.now, facts, channel or self.channel)
            self.session = done.session
            self.effects += done.effects
            asked = [effect for effect in done.effects if isinstance(effect, Ask)]
            if not asked:
                return next((effect for effect in done.effects if isinstance(effect, Show)), None)
            answer = self.answers[asked[0].operation]
            event = Late(asked[0].id) if answer[0] == "late" else Answered(asked[0].id, *answer)

    def read(self, event: Event) -> str:
        shown = self.does(event)
        assert shown is not None
        return shown.text

    def dial(self, code: str) -> str:
        match = self.flow.match_ussd(code)
        assert match is not None
        return self.read(Begin("s1", match.node, match.tail))

    def types(self, *texts: str) -> str:
        return [self.read(Reply(text)) for text in texts][-1]

    def found(self, kind: type[Any]) -> Any:
        return next((effect for effect in self.effects if isinstance(effect, kind)), None)
