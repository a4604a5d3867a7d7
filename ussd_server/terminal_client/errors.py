"""What a terminal's client raises: none of it is the fault of the person at the terminal."""

from ussd_server.terminal_client.outcomes import ProblemDetails


class TerminalError(Exception):
    """The service cannot be used now from this terminal. The text is one line without secrets."""


class Unreachable(TerminalError):
    """No answer came within the patience, or none but that the server is at its limit.

    Whether the request was carried out is unknown. Call again with the same arguments and `key`, and it happens once
    whatever became of this one. `problem` is the latest refusal, if any came.
    """

    def __init__(self, text: str, *, key: str, problem: ProblemDetails | None = None) -> None:
        super().__init__(text)
        self.key = key
        self.problem = problem


class Untrusted(TerminalError):
    """An answer came that is not the server's, or cannot be shown to be: no word of it is believed.

    Whether the request was carried out is unknown, as with Unreachable.
    """

    def __init__(self, text: str, *, key: str) -> None:
        super().__init__(text)
        self.key = key


class Refused(TerminalError):
    """The server refuses what this terminal sends: a mistake in its set-up or its program, or it is quarantined.

    `problem.name` says which of docs/terminals.md; `retry_after` is in seconds where the server gave it. `unsure` says
    that the request had been sent before without a final answer, so that it may have been carried out, or a try taken.
    """

    def __init__(self, problem: ProblemDetails, retry_after: int | None = None, unsure: bool = False) -> None:
        super().__init__(": ".join(filter(None, (problem.name, problem.title, problem.detail))))
        self.problem = problem
        self.retry_after = retry_after
        self.unsure = unsure
