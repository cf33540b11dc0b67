"""environ["frontd.session"]: what all workers of a site know of a visitor.

The web server sends it as JSON and takes changes back in the head of the
answer; it stores them before the client sees a byte of that.
"""

import json
from collections.abc import MutableMapping
from urllib.parse import quote

_MAX_KEY = 256


class Session(MutableMapping):
    """A mapping of str to what JSON has. Of requests of one visitor that run
    at once, each changes only the keys that it sets. What is changed within a
    list or a dict that is a value is noticed, too.

    id names the session as long as it lives, for logs; "" before anything was
    stored.
    """

    def __init__(self, data, session_id=""):
        self.id = session_id
        self._data = data  # JSON, until someone looks
        self._values = None
        self._seen = {}  # of lists and dicts that were read: as they were, in JSON
        self._set = set()
        self._deleted = set()
        self._added = {}
        self._clear = self._renew = self._late = False

    def __getitem__(self, key):
        value = self._all()[key]
        if isinstance(value, (list, dict)) and key not in self._set and key not in self._seen:
            self._seen[key] = _dumps(value)
        return value

    def __setitem__(self, key, value):
        values = self._change(key)
        _dumps(value)  # raises here, where the mistake is
        values[key] = value
        self._set.add(key)
        self._deleted.discard(key)
        self._added.pop(key, None)

    def __delitem__(self, key):
        values = self._change(key)
        del values[key]
        self._set.discard(key)
        self._added.pop(key, None)
        self._seen.pop(key, None)
        self._deleted.add(key)

    def __iter__(self):
        return iter(self._all())

    def __len__(self):
        return len(self._all())

    def __repr__(self):
        return "<session %s with %d keys>" % (self.id or "(new)", len(self))  # its values are nobody's business

    def incr(self, key, n=1):
        """Adds n to an integer, 0 where the key is not set, and returns the sum.

        What is added to is what is stored when the answer's head is: of
        requests that run at once none is lost, and the sum may be more than
        was returned.
        """
        values = self._change(key)
        if type(n) is not int or type(values.get(key, 0)) is not int:
            raise TypeError("incr adds int to int; key %r" % key)
        values[key] = values.get(key, 0) + n
        if key not in self._set:
            self._added[key] = self._added.get(key, 0) + n
        return values[key]

    def clear(self):
        """Takes all keys away: a logout. Unless something is set after it, the
        session ends and its cookie is taken from the client."""
        self._change("-").clear()
        for changes in (self._seen, self._set, self._deleted, self._added):
            changes.clear()
        self._clear = True

    def renew(self):
        """Gives the session another cookie and makes the old one worthless. It
        belongs to every login: who knew the cookie before must not be logged in."""
        self._change("-")
        self._renew = True

    def _all(self):
        if self._values is None:
            self._values = json.loads(self._data)
        return self._values

    def _change(self, key):
        if self._late:
            raise RuntimeError("the head of the answer was sent: the session cannot be changed any more")
        if not isinstance(key, str):
            raise TypeError("a session's keys are str, not %s" % type(key).__name__)
        if not 0 < len(key.encode("utf-8")) <= _MAX_KEY:
            raise ValueError("%r is no key: want 1 to %d bytes of UTF-8" % (key[:40], _MAX_KEY))
        return self._all()

    def head(self):
        """Returns the header lines that tell the changes. It is called once."""
        self._late = True
        for key, before in self._seen.items():
            if key in self._values and _dumps(self._values[key]) != before:
                self._set.add(key)
        lines = []
        if self._clear:
            lines.append("Frontd-Session-Clear: 1\r\n")
        if self._renew:
            lines.append("Frontd-Session-Renew: 1\r\n")
        for key in self._deleted:
            lines.append("Frontd-Session-Delete: %s\r\n" % quote(key, safe=""))
        for key in self._set:
            lines.append("Frontd-Session-Set: %s=%s\r\n" % (quote(key, safe=""), quote(_dumps(self._values[key]), safe="")))
        for key, n in self._added.items():
            lines.append("Frontd-Session-Add: %s=%d\r\n" % (quote(key, safe=""), n))
        return "".join(lines).encode("ascii")


def _dumps(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
