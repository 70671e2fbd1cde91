"""Reads dashboards into Grafana's foundation SDK and writes them again: what is lost on the way is no part of a dashboard.

    python3 schema.py FOLDER_WITH_THE_PACKAGE DASHBOARD...
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402
from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: E402
from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: E402

# Of annotations Grafana writes and reads these; the package does not know them.
KNOWN = {"builtIn", "target", "titleFormat", "textFormat", "tagKeys", "useValueForTime"}


def lost(before, after, place=""):
    """Where `after` lacks or alters what `before` has. Empty values may be left out."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if "/annotations/" in place and key in KNOWN:
                continue
            if key in after:
                yield from lost(value, after[key], f"{place}/{key}")
            elif value not in (None, "", [], {}, False):
                yield f"{place}/{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{place}/{at}")
    elif before != after:
        yield f"{place}: {before!r} became {after!r}"


def main():
    register_default_plugins()
    wrong = []
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            before = json.load(file)
        after = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(before)))
        wrong += [f"{path}{place}" for place in lost(before, after)]
    sys.exit("\n".join(wrong) if wrong else 0)


main()
