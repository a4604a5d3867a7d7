"""A screen laid out as pages that fit a channel. Pure; the arguments are hashable, so callers may keep the results."""

from collections.abc import Callable
from dataclasses import dataclass

from menus.events import Option, Screen


@dataclass(frozen=True)
class Channel:
    """A way to the subscriber: `ussd`, `sms` or `terminal`. `fits` tells whether a page's text does; None: any does.

    `fits` must be monotonic: a part of a text that fits, fits too.
    """

    name: str
    fits: Callable[[str], bool] | None = None


@dataclass(frozen=True)
class Labels:
    """The navigation that paging itself adds, in the reader's language.

    `back` is put on every page after the first (it leads to the page before, so the engine must keep `more` off the
    way back), `more` on every page but the last; where `more.key` is taken by an option, its key is repeated until it
    is free (9, 99, 999).
    """

    back: Option
    more: Option


@dataclass(frozen=True)
class Page:
    """One page as the channel sends it. `more` is the key that leads to the next page, "" on the last.

    `options` and `navigation` are what is offered on this very page; a terminal lays them out in its own way.
    """

    text: str
    options: tuple[Option, ...]
    navigation: tuple[Option, ...]
    more: str = ""


def paginate(screen: Screen, channel: Channel, labels: Labels) -> tuple[Page, ...]:
    """Lay a screen out as one or more pages, each of which fits the channel.

    `screen.navigation` must be the same for every page of a screen, or the page breaks would move under the reader.
    """
    raise NotImplementedError
