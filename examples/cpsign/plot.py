"""The validity plot as SVG: drawn here, since a plotting library would be 50 MB to install."""

from collections.abc import Mapping, Sequence

_LEFT, _TOP, _SIDE = 60, 40, 300
_CURVES = (("accuracy", "#1f6fb2", "true label in the set"), ("single", "#b2571f", "one label"))


def svg(title: str, rows: Sequence[Mapping[str, float]]) -> str:
    """Return a picture of accuracy and share of single labels over the confidence.

    Args:
        title: The line above it.
        rows: `confidence`, `accuracy` and `single` of each point, from 0 to 1.
    """
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="560" height="400"'
        ' font-family="sans-serif" font-size="13" fill="#22262b">',
        '<rect width="560" height="400" fill="#fbfaf7"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{title}</text>',
    ]
    for step in range(6):
        share = step / 5
        x, y = _place(share, share)
        parts += [
            f'<path d="M{x} {_TOP}V{_TOP + _SIDE}M{_LEFT} {y}H{_LEFT + _SIDE}" stroke="#dcd9d2"/>',
            f'<text x="{x}" y="{_TOP + _SIDE + 18}" text-anchor="middle">{share:.1f}</text>',
            f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{share:.1f}</text>',
        ]
    ends = [_place(0, 0), _place(1, 1)]
    parts.append(_line(ends, "#7b8189", 'stroke-dasharray="5 4"'))
    parts.append(f'<text x="{_LEFT + _SIDE + 14}" y="{_TOP + 14}" fill="#7b8189">promised</text>')
    for number, (name, colour, label) in enumerate(_CURVES, 1):
        points = [_place(row["confidence"], row[name]) for row in rows]
        parts.append(_line(points, colour, 'stroke-width="2"'))
        below = _TOP + 14 + 22 * number
        parts.append(f'<text x="{_LEFT + _SIDE + 14}" y="{below}" fill="{colour}">{label}</text>')
    middle = _LEFT + _SIDE / 2
    parts.append(f'<text x="{middle}" y="385" text-anchor="middle">confidence</text></svg>\n')
    return "\n".join(parts)


def _place(x: float, y: float) -> tuple[float, float]:
    return round(_LEFT + _SIDE * x, 1), round(_TOP + _SIDE * (1 - y), 1)


def _line(points: Sequence[tuple[float, float]], colour: str, more: str) -> str:
    text = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{text}" fill="none" stroke="{colour}" {more}/>'
