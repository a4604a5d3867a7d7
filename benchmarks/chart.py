"""A chart of lines as SVG, the same octets for the same points."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 360, 80, 50, 40, 200
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#b8860b", "#6a4c93")


@dataclass(frozen=True)
class Axis:
    """One axis of a picture: its name, its marks (value and text), and whether it is logarithmic."""

    name: str
    marks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where a value is, 0 at the first mark and 1 at the last."""
        scale = math.log if self.logarithmic else float
        low, high = scale(self.marks[0][0]), scale(self.marks[-1][0])
        return (scale(value) - low) / (high - low)


def chart(title: str, across: Axis, up: Axis, lines: Mapping[str, Points]) -> str:
    """Return a picture of lines as SVG; what lies above the last mark of `up` is cut off."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> str:
        return f"{LEFT + across.place(value) * wide:.1f}"

    def y(value: float) -> str:
        return f"{TOP + (1 - up.place(value)) * high:.1f}"

    style = "text{font:13px sans-serif;fill:#222}.g{stroke:#ddd}.l{fill:none;stroke-width:2.5}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">',
        f'<style>{style}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-weight="bold">{title}</text>',
    ]
    for value, text in across.marks:
        parts.append(f'<line class="g" x1="{x(value)}" y1="{TOP}" x2="{x(value)}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x(value)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>')
    for value, text in up.marks:
        parts.append(f'<line class="g" x1="{LEFT}" y1="{y(value)}" x2="{WIDTH - RIGHT}" y2="{y(value)}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{float(y(value)) + 4:.1f}" text-anchor="end">{text}</text>')
    parts.append(f'<text x="{LEFT + wide / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{across.name}</text>')
    parts.append(f'<text x="16" y="{TOP - 8}">{up.name}</text>')
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        inside = [(x(at), y(value)) for at, value in points if 0 <= up.place(value) <= 1]
        path = " ".join(f"{left},{top}" for left, top in inside)
        parts.append(f'<polyline class="l" stroke="{colour}" points="{path}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 14 + 20 * number}" style="fill:{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
