"""An HTML page as a reader of it sees it: tables, terms, pictures, what it would load."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img"}
LOADING = ("src", "href", "data", "action", "srcset", "poster", "background")


class Page(HTMLParser):
    """A parsed page; it is not well-formed where an end tag is not that of the open element.

    Attributes:
        elements: [(name, {attribute: value})], in their order.
        tables: {caption: [[text of a cell]]}, the header first.
        numbers: [(value, text)] of all `data` elements.
        terms: {text of a dt: (text of its dd, value of the data element in it or None)}.
        text: all that is seen, in one line.
    """

    def __init__(self, text):
        super().__init__()
        self.elements, self.tables, self.numbers, self.terms = [], {}, [], {}
        self.open, self.heard = [], []
        self.rows = self.term = self.value = None
        self.feed(text)
        self.close()
        assert self.open == [], self.open
        self.text = " ".join("".join(self.heard).split())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        assert len(attributes) == len(attrs)
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self.open.append((tag, len(self.heard)))
        if tag == "table":
            self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag == "dd":
            self.value = None
        elif tag == "data":
            self.value = float(attributes["value"])

    def handle_endtag(self, tag):
        name, start = self.open.pop()
        assert name == tag, (name, tag)
        text = "".join(self.heard[start:])
        if tag == "caption":
            self.tables[text] = self.rows
        elif tag in ("th", "td"):
            self.rows[-1].append(text)
        elif tag == "data":
            self.numbers.append((self.value, text))
        elif tag == "dt":
            self.term = text
        elif tag == "dd":
            self.terms[self.term] = (text, self.value)

    def handle_data(self, data):
        if not self.open or self.open[-1][0] != "style":
            self.heard.append(data)

    def named(self, name):
        """The attributes of all elements of a name."""
        return [attributes for tag, attributes in self.elements if tag == name]

    def loads(self):
        """All addresses that a browser would ask for."""
        return [
            value
            for tag, attributes in self.elements
            for key, value in attributes.items()
            if key in LOADING and tag != "data"
        ]
