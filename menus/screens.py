"""What a node shows, laid out for a channel; kept, because most screens of a service are the same for everybody.

What is kept is bounded, and its key holds all that a screen depends on, the values in their stored form among it; so a
kept screen can never be another subscriber's.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from menus.events import Option, Screen, Show
from menus.nodes import Asking, Check, End, Input, Listing, Menu, Node, Ordering, Shown, Wording, items_of
from menus.render import Channel, Labels, Page, briefer, paginate
from menus.session import Values, decode, encode

KEPT: Final = 2048
"""Laid-out screens kept of a flow: its static ones in every language many times over; a few MB where all are lists."""

BACK_KEY: Final = "0"
HOME_KEY: Final = "00"
MORE_KEY: Final = "9"
NO_VALUES: Final = encode([])


class Look(NamedTuple):
    """All that a screen depends on.

    `first`: there is no screen to go back to. `options` are a menu's that are shown, by their place, or a list's packed
    items; None for all that there are. `values` are encoded, by `names`.
    """

    node: str
    language: str
    channel: Channel
    first: bool
    options: tuple[int, ...] | bytes | None
    values: bytes


class Laid(NamedTuple):
    """A screen laid out: its pages, and what to show for each of them."""

    shows: tuple[Show, ...]
    pages: tuple[Page, ...]


class Screens:
    """Lays out the screens of one flow, in its own words."""

    def __init__(self, nodes: Mapping[str, Node], phrases: Mapping[str, Wording], home: str) -> None:
        self._nodes = nodes
        self._phrases = phrases
        self._home = home
        self.node: Callable[[str, str, Channel, bool, tuple[int, ...] | bytes | None, bytes], Laid]
        self.node = lru_cache(KEPT)(lambda *look: self._node(Look(*look)))
        """Lay out a node's screen, or return what was kept of it.

        The arguments are those of a `Look`, which is made only where nothing was kept: it costs more than looking up.
        """

    def any(self, screen: Screen, channel: Channel, language: str) -> Laid:
        """Lay out a screen that is no node's."""
        pages = paginate(screen, channel, self._labels(channel, language))
        count = len(pages)
        shows = tuple(
            Show(screen, page.text, _closes(screen, page), number, count) for number, page in enumerate(pages)
        )
        return Laid(shows, pages)

    def with_reason(self, laid: Laid, number: int, reason: str, channel: Channel, language: str) -> Show:
        """Return a page with the reason for showing it again above it.

        The page keeps its options: where it and the reason do not fit together, navigation gives up its labels, then
        the reason takes the place of the text where options or the way to them stay, and where even that does not fit
        it is left out. Breaking the pages anew would move options under the reader.
        """
        show, page = laid.shows[number], laid.pages[number]
        for shorter in briefer(page):
            text = f"{reason}\n{shorter}"
            if channel.fits is None or channel.fits(text):
                return msgspec.structs.replace(show, screen=_under(reason, show.screen), text=text)
        if page.options or key_to_options(laid, number):
            instead = Screen(reason, page.options, page.navigation)
            alone = paginate(instead, channel, self._labels(channel, language))
            if len(alone) == 1:
                return msgspec.structs.replace(show, screen=_under(reason, show.screen), text=alone[0].text)
        return show

    def _labels(self, channel: Channel, language: str) -> Labels:
        return Labels(
            back=Option(BACK_KEY, self._phrases["back"].render(channel.name, language, {})),
            more=Option(MORE_KEY, self._phrases["more"].render(channel.name, language, {})),
            known=HOME_KEY,
        )

    def _node(self, look: Look) -> Laid:
        node = self._nodes[look.node]
        assert not isinstance(node, Asking | Check), f"{look.node} shows nothing"
        values: Values = dict(zip(node.names, decode(look.values), strict=True))
        if isinstance(node, Listing):
            values[node.key] = look.options
        return self.any(_screen(node, look, values, self._navigation(node, look)), look.channel, look.language)

    def _navigation(self, node: Shown, look: Look) -> tuple[Option, ...]:
        if not node.manner.navigation or look.channel.name == "sms":
            return ()
        offered = [] if look.first else [("back", BACK_KEY)]
        offered += [] if node.name == self._home else [("home", HOME_KEY)]
        return tuple(
            Option(key, self._phrases[name].render(look.channel.name, look.language, {})) for name, key in offered
        )


def key_to_options(laid: Laid, number: int) -> str:
    """Return the key that leads on from a page whose screen has its options on later pages only, "" for other pages."""
    later = any(page.options for page in laid.pages[number + 1 :])
    return laid.pages[number].more if later and not any(page.options for page in laid.pages[: number + 1]) else ""


def shown_values(node: Shown, values: Values) -> bytes:
    """Return the values that a node's screen needs, encoded for `Look`."""
    return encode([*map(values.get, node.names)])


def _under(reason: str, screen: Screen) -> Screen:
    return msgspec.structs.replace(screen, text=f"{reason}\n{screen.text}")


def _closes(screen: Screen, page: Page) -> bool:
    """A page that offers nothing closes the dialogue."""
    return not (page.options or page.navigation or page.more or screen.input != "none")


def _screen(node: Shown, look: Look, values: Values, navigation: tuple[Option, ...]) -> Screen:
    channel, language = look.channel.name, look.language
    taken: Literal["none", "choice", "text", "digits"]

    def said(wording: Wording) -> str:
        return wording.render(channel, language, values)

    match node:
        case Menu():
            slots = range(len(node.choices)) if look.options is None else look.options
            chosen = [node.choices[slot] for slot in slots]
            options = tuple(Option(str(number), said(one.label)) for number, one in enumerate(chosen, 1))
            about = {name: values[name] for name in sorted(node.text.names)} if node.kind == "confirm" else {}
            taken = "choice" if options or navigation else "none"
            return Screen(said(node.text), options, navigation, taken, kind=node.kind, about=about)
        case Listing():
            options = _items(node, values, channel, language)
            taken = "choice" if options or navigation else "none"
            return Screen(said(node.title), options, navigation, taken, kind="list")
        case Input():
            taken = "text" if node.accept.kind == "text" else "digits"
            return Screen(said(node.text), (), navigation, taken, node.secret, kind="input")
        case Ordering(say=say) if say is not None:
            return Screen(said(say))
        case Ordering():
            raise AssertionError(f"{look.node} shows nothing")
        case End():
            return Screen(said(node.text))


def _items(node: Listing, values: Values, channel: str, language: str) -> tuple[Option, ...]:
    return tuple(
        Option(str(number), node.item.render(channel, language, {**values, node.each: item}))
        for number, item in enumerate(items_of(node.key, values), 1)
    )
