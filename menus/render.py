"""A screen laid out as pages that fit a channel. Pure, so callers may keep the results.

A page is the body, a line for each option, and the navigation last. What fits at once is one page. Otherwise the body
is broken between words, and an option is never broken: it moves to the next page whole. Navigation that readers know by
heart is left out of the pages then, for each of its lines is a line of the text.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from menus.events import Option, Screen

MAX_PAGES: Final = 200
"""Where a screen is cut: far more than anybody turns over, and it bounds the work for one screen."""
COMFORT: Final = 10
"""Characters of the body that a page must hold beside whole navigation labels; else only their keys are shown."""
_LEVELS: Final = 3


class Channel(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """A way to the subscriber: `ussd`, `sms` or `terminal`. `fits` tells whether a page's text does; None: any does.

    `fits` must be monotonic: a part of a text that fits, fits too.
    """

    name: str
    fits: Callable[[str], bool] | None = None


@dataclass(frozen=True)
class Labels:
    """The navigation that paging itself adds, in the reader's language.

    `back` is put on every page after the first (it leads to the page before, so the engine must keep `more` off the
    way back), `more` on every page but the last; where `more.key` is taken, it is repeated until it is free (9, 99).
    `known` is the key of the navigation that only a screen of one page shows ("" none); it works on every page.
    """

    back: Option
    more: Option
    known: str = ""


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

    All of the text and every option are on exactly one page, in their order; an option that fills a page of its own
    is shortened with an ellipsis. `screen.navigation` must be the same for every page of a screen, or the page breaks
    would move under the reader. Where a page is too small even for a letter beside the navigation, its
    labels are left out and only keys stay; ValueError where not even that helps. Beyond `MAX_PAGES` the rest is cut.
    """
    whole = _layout(screen.text, [_line(option) for option in screen.options], _navigation(screen.navigation, 0))
    if channel.fits is None or channel.fits(whole):
        return (Page(whole, screen.options, screen.navigation),)
    return _Paging(screen, channel.fits, labels).pages()


def briefer(page: Page) -> Iterator[str]:
    """Yield a page's text whole and ever shorter, which leaves room for a remark above it.

    Navigation gives up its labels, `more` last of all: who made a mistake must still find the way to the rest.
    """
    yield page.text
    ending = "\n".join(_navigation(page.navigation, 0))
    if not ending or not page.text.endswith(ending):
        return
    above = page.text.removesuffix(ending)
    if page.more:
        *others, more = page.navigation
        yield above + "\n".join([*_navigation(others, 1), _line(more)])
    yield above + "\n".join(_navigation(page.navigation, 1))


class _Paging:
    """The work of laying out one screen that needs more than one page; `body` and `done` say what is left."""

    def __init__(self, screen: Screen, fits: Callable[[str], bool], labels: Labels):
        self.fits = fits
        self.more = Option(_free_key(labels.more.key, screen), labels.more.label)
        self.first = tuple(option for option in screen.navigation if option.key != labels.known)
        has_back = any(option.key == labels.back.key for option in self.first)
        self.later = self.first if has_back else (labels.back, *self.first)
        self.options = screen.options
        self.lines = [_line(option) for option in screen.options]
        self.body = screen.text.strip()
        self.done = 0

    def pages(self) -> tuple[Page, ...]:
        """Fill page after page until nothing is left."""
        pages: list[Page] = []
        while not pages or (pages[-1].more and len(pages) < MAX_PAGES):
            pages.append(self.page(self.later if pages else self.first, len(pages) == MAX_PAGES - 1))
        return tuple(pages)

    def page(self, navigation: tuple[Option, ...], last: bool) -> Page:
        """Take off the next page: all that is left where it fits, else as much as fits beside the way to the rest."""
        following = navigation if last else (*navigation, self.more)
        for level in range(_LEVELS):
            ending = _navigation(navigation, level)
            if self.fits(_layout(self.body, self.lines[self.done :], ending)):
                return self.taken(len(self.body), len(self.lines) - self.done, navigation, ending)
            ending = _navigation(following, level)
            taken = self.room(ending, 1 if level == _LEVELS - 1 else COMFORT)
            if taken is not None:
                return self.taken(*taken, following, ending)
        return self.shortened(navigation, following)

    def room(self, ending: Sequence[str], comfort: int) -> tuple[int, int] | None:
        """Return how much of the body and how many options fit above the navigation, None where it is not worth it."""
        lines = self.lines[self.done :]
        if not self.body or (lines and self.fits(_layout(self.body, (), ending))):
            count = _longest(len(lines), lambda n: self.fits(_layout(self.body, lines[:n], ending)))
            return (len(self.body), count) if self.body or count else None
        length = _longest(len(self.body), lambda n: self.fits(_layout(self.body[:n].rstrip(), (), ending)))
        return (_word_break(self.body, length), 0) if length >= min(comfort, len(self.body)) else None

    def taken(self, length: int, count: int, navigation: tuple[Option, ...], ending: Sequence[str]) -> Page:
        """Make the page of so much, and take that off what is left."""
        end = self.done + count
        text = _layout(self.body[:length].rstrip(), self.lines[self.done : end], ending)
        page = Page(text, self.options[self.done : end], navigation, self.more.key if self.more in navigation else "")
        self.body = self.body[length:].lstrip()
        self.done = end
        return page

    def shortened(self, navigation: tuple[Option, ...], following: tuple[Option, ...]) -> Page:
        """Make a page of one option that is longer than a page, its label cut."""
        if self.body:
            raise ValueError("the channel's pages are too small for a single letter")
        offered = navigation if self.done == len(self.lines) - 1 else following
        option, whole = self.options[self.done], self.lines[self.done]
        for level in range(_LEVELS):
            ending = _navigation(offered, level)
            cut = self.cut(whole, ending)
            if len(cut) > len(option.key) + (COMFORT if level < _LEVELS - 1 else 0):
                self.lines[self.done] = cut
                return self.taken(0, 1, offered, ending)
        raise ValueError("the channel's pages are too small for an option's key")

    def cut(self, line: str, ending: Sequence[str]) -> str:
        """Return as much of a line as fits above the navigation, with an ellipsis where there is room for one."""

        def ended(dots: str) -> str:
            length = _longest(len(line), lambda n: self.fits(_layout("", [line[:n].rstrip() + dots], ending)))
            return line[:length].rstrip() + dots if length else ""

        return ended("..." if line.isascii() else "…") or ended("")


def _navigation(options: Sequence[Option], level: int) -> Sequence[str]:
    """Return the navigation's lines: whole, or where a page is very small the keys, or the last one's key alone."""
    keys = [option.key for option in options]
    return ([_line(option) for option in options], [" ".join(keys)] if keys else (), keys[-1:])[level]


def _line(option: Option) -> str:
    return f"{option.key}. {option.label}"


def _layout(body: str, lines: Sequence[str], ending: Sequence[str]) -> str:
    return "\n".join((body, *lines, *ending) if body else (*lines, *ending))


def _free_key(key: str, screen: Screen) -> str:
    taken = {option.key for option in (*screen.options, *screen.navigation)}
    free = key
    while free in taken:
        free += key
    return free


def _longest(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the greatest number up to `limit` that fits, 0 where not even 1 does; what is less than a fit, fits.

    The search doubles before it halves, so that its cost depends on the page and not on all that is left.
    """
    low, high = 0, 1
    while high <= limit and fits(high):
        low, high = high, high * 2
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def _word_break(text: str, length: int) -> int:
    """Return the end of the last word that ends at or before `length`, or `length` inside a word without end.

    A sentence that would begin in the page's last third stays whole for the next one. A number stays with the word
    after it (450 руб., 26 ноября) where that leaves at least half of the page.
    """
    if length >= len(text):
        return length
    last = length if text[length].isspace() else _blank_before(text, length)
    if last <= 0:
        return length
    sentence = text.rfind(". ", 0, last) + 1
    if sentence > length * 2 // 3 and text[sentence + 1 : sentence + 2].isupper():
        return sentence
    at = last
    while at > 0 and text[at - 1].isdigit():
        at = _blank_before(text, at)
    return at if at > length // 2 else last


def _blank_before(text: str, end: int) -> int:
    return max(text.rfind(" ", 0, end), text.rfind("\n", 0, end))
