"""What the engine says itself: the flow's `texts:` as a channel shows them, and the screens that close a dialogue."""

from typing import Final

from menus.conditions import Facts
from menus.events import Screen, Show
from menus.flow import Flow
from menus.render import Channel
from menus.session import Values
from menus.steps import Step

SMS: Final = Channel("sms")


def say(flow: Flow, name: str, values: Values, language: str, channel: Channel = SMS) -> str:
    """Return one of the flow's `texts:` as the channel shows it, cut where it is too long for one screen."""
    return _on_one_screen(flow.phrases[name].render(channel.name, language, values), channel)


def close(flow: Flow, phrase: str, facts: Facts, channel: Channel) -> Step:
    """End the dialogue with one of the engine's own texts."""
    text = flow.phrases[phrase].render(channel.name, flow.language(facts), {})
    return Step(None, (last_screen(flow, text, facts, channel),))


def last_screen(flow: Flow, text: str, facts: Facts, channel: Channel) -> Show:
    """Return a screen that ends its dialogue, with this text and nothing to choose."""
    return Show(Screen(text), _on_one_screen(text, channel), True)


def _on_one_screen(text: str, channel: Channel) -> str:
    """Return a text that has no further pages; one that is too long (which `flows check` finds) is cut."""
    if channel.fits is None or channel.fits(text):
        return text
    dots = "..." if text.isascii() else "…"
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if channel.fits(text[:middle].rstrip() + dots) else (low, middle)
    return text[:low].rstrip() + dots
