"""How OpenStack's lists are filtered and paged."""

from collections.abc import Iterable, Mapping
from typing import Any

_NO_FILTERS = {"limit", "marker", "fields", "sort_key", "sort_dir", "sort", "page_reverse"}


def select(items: Iterable[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The items that equal every filter of the query; filters they do not have are ignored.

    All fit one page, so there is nothing after any marker.
    """
    if "marker" in query:
        return []
    filters = {key: value.lower() for key, value in query.items() if key not in _NO_FILTERS}
    return [
        item
        for item in items
        if all(key not in item or _text(item[key]) == value for key, value in filters.items())
    ]


def _text(value: object) -> str:
    return str(value).lower()
