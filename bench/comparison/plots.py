"""Bar charts as SVG, without a library."""

from xml.sax.saxutils import escape

COLORS = ("#2f6db5", "#d98c21", "#5a9e4b", "#9a4f96", "#b8433f", "#4aa5a5", "#8a8a8a", "#c9b037", "#6b5b95")
HEIGHT, BASE, TOP = 320, 270, 40


def _document(title, width, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" font-family="sans-serif" font-size="11">'
            f'<rect width="100%" height="100%" fill="white"/><text x="{width / 2:.0f}" y="18" text-anchor="middle" font-size="14">'
            f'{escape(title)}</text>{"".join(body)}</svg>\n')


def _axis(width, largest):
    lines = []
    for step in range(5):
        y = BASE - (BASE - TOP) * step / 4
        lines.append(f'<line x1="50" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                     f'<text x="45" y="{y + 4:.1f}" text-anchor="end">{largest * step / 4:.3g}</text>')
    return lines


def _legend(names):
    return [f'<rect x="{60 + 130 * i}" y="{HEIGHT - 18}" width="10" height="10" fill="{COLORS[i % len(COLORS)]}"/>'
            f'<text x="{74 + 130 * i}" y="{HEIGHT - 9}">{escape(name)}</text>' for i, name in enumerate(names)]


def _largest(values):
    return max([*values, 1e-9]) * 1.08


def bars(title, groups, series):
    """`series` maps a name to a value, and its (low, high), for each of `groups`."""
    wide = 22 * len(series) + 24
    width = max(420, 60 + wide * len(groups), 80 + 130 * len(series))
    largest = _largest(high for values in series.values() for _, _, high in values)
    scale = (BASE - TOP) / largest
    body = _axis(width, largest)
    for at, group in enumerate(groups):
        left = 60 + wide * at
        for number, values in enumerate(series.values()):
            value, low, high = values[at]
            x = left + 22 * number
            body.append(f'<rect x="{x}" y="{BASE - value * scale:.1f}" width="20" height="{value * scale:.1f}" fill="{COLORS[number]}"/>'
                        f'<line x1="{x + 10}" x2="{x + 10}" y1="{BASE - low * scale:.1f}" y2="{BASE - high * scale:.1f}" stroke="black"/>')
        body.append(f'<text x="{left + wide / 2 - 12:.0f}" y="{BASE + 16}" text-anchor="middle">{escape(group)}</text>')
    return _document(title, width, body + _legend(series))


def stacks(title, groups):
    """`groups` maps a name to the parts of its bar."""
    names = list(dict.fromkeys(part for parts in groups.values() for part in parts))
    width = max(420, 60 + 110 * len(groups), 80 + 130 * len(names))
    largest = _largest(sum(parts.values()) for parts in groups.values())
    body = _axis(width, largest)
    for at, (group, parts) in enumerate(groups.items()):
        y = BASE
        for number, name in enumerate(names):
            height = parts.get(name, 0) * (BASE - TOP) / largest
            y -= height
            body.append(f'<rect x="{75 + 110 * at}" y="{y:.1f}" width="60" height="{height:.1f}" fill="{COLORS[number % len(COLORS)]}"/>')
        body.append(f'<text x="{105 + 110 * at}" y="{BASE + 16}" text-anchor="middle">{escape(group)}</text>')
    return _document(title, width, body + _legend(names))
