"""Terminals: a screen is data, which each terminal lays out in its own way."""

from typing import Final

from menus.render import Channel

TERMINAL: Final = Channel("terminal")
"""A terminal's screen has room for all of a node: nothing is broken into pages."""
