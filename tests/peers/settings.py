"""strongSwan's configuration format from Python values, and its raw output back to them."""

import re


def render(values, indent=0):
    """The text of a section: dicts become sections, lists comma-separated values, booleans yes and no."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [" " * indent + f"{name} {{", render(value, indent + 2), " " * indent + "}"]
        else:
            lines.append(" " * indent + f"{name} = {_text(value)}")
    return "\n".join(line for line in lines if line)


def _text(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    text = str(value)
    return f'"{text}"' if re.search(r"[#{}\"\s]", text) else text


def merge(values, more):
    """`values` with `more` laid over it, section by section; a None takes the setting away."""
    merged = dict(values)
    for name, value in more.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def parse_raw(output):
    """The messages in the output of `swanctl ... --raw --pretty`, as dicts: values are text, lists, or dicts."""
    messages = []
    stack = []
    items = None
    for line in (line.strip() for line in output.splitlines()):
        if items is not None:
            if line == "]":
                items = None
            else:
                items.append(line)
        elif line.endswith("{"):
            section = {}
            if stack:
                stack[-1][line[:-1].strip()] = section
            else:
                messages.append(section)
            stack.append(section)
        elif line == "}":
            stack.pop()
        elif stack and line.endswith("= ["):
            items = stack[-1].setdefault(line[:-3].strip(), [])
        elif stack and "=" in line:
            name, value = line.split("=", 1)
            stack[-1][name.strip()] = value.strip()
    return messages
