"""Page of HTML taken apart, for tests of what it shows and loads."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "path", "use"}
"""Elements without an end tag."""


class Page(HTMLParser):
    """Collects what the tests ask about, and checks that tags nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.sources, self.ids, self.anchors, self.directed = [], [], [], [], {}
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.sources += [values[name] for name in ("src", "data", "poster") if name in values]
        if tag in ("link", "use", "image"):
            self.sources.append(values["href"])
        if tag == "a":
            self.anchors.append(values["href"])
        if "id" in values:
            self.ids.append(values["id"])
        if tag not in VOID:
            self.open.append((tag, values))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            opened, _ = self.open.pop()
            assert opened == tag

    def handle_data(self, text):
        if self.open and self.open[-1][0] != "style":
            self.text += " " + text
            self.directed[text.strip()] = self.open[-1][1].get("dir")
