"""A phone in the terminal: the same phone as on the page, typed at."""

from typing import TextIO


async def dial(msisdn: str, url: str, input: TextIO, output: TextIO) -> int:
    """Be the phone `msisdn` of the simulator whose page is at `url`, until the input ends; return the exit code.

    Where `input` is no terminal, each of its lines is dialled or answered and what the phone shows is printed as plain
    lines, so that a conversation can be scripted.
    """
    raise NotImplementedError
