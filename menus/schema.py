"""YAML to typed nodes; every mistake with its file, line and column."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """A mistake in a flow file. `line` and `column` count from 1; `suggestion` says what would be right."""

    file: str
    line: int
    column: int
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        end = f"; {self.suggestion}" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{end}"


class FlowErrors(ValueError):
    """A flow file with mistakes: all of them, in the order in which they stand in the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
