"""What a browser sends of a form that nobody touched."""

from __future__ import annotations

from html.parser import HTMLParser


def fields_of(page: str, action: str) -> dict[str, list[str]]:
    """The fields of the first form of a page that is sent to this address, without its token."""
    reader = _Reader(action)
    reader.feed(page)
    assert reader.found, f"no form is sent to {action}"
    reader.found.pop("csrf")
    return reader.found


class _Reader(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._action, self._inside, self._templates = action, False, 0
        self._select, self._area = "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self._inside = given.get("action") == self._action and not self.found
        self._templates += tag == "template"
        if not self._inside or self._templates:
            return
        if tag == "input" and name:
            checkable = given.get("type") in {"checkbox", "radio"}
            if not checkable or "checked" in given:
                self._add(name, given.get("value", "on" if checkable else ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in given or self._select not in self.found:
                self.found[self._select] = [given.get("value", "")]
        elif tag == "textarea":
            self._area = name
            self._add(name, "")

    def handle_endtag(self, tag: str) -> None:
        self._templates -= tag == "template"
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area:
            self.found[self._area][-1] = self.found[self._area][-1].removeprefix("\n")
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.found[self._area][-1] += data

    def _add(self, name: str, value: str) -> None:
        self.found.setdefault(name, []).append(value)
