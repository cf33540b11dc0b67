"""What every environ has, and what the params of many requests begin with."""

from .record import decode_pairs

# Beginnings that are kept. Over it all are forgotten: who sends so many different
# ones has little use for them.
_MAX_KNOWN = 64
# The first variable that each client has of its own. Before it frontd, as the
# order of variables is free (RFC 3875 4.1), sends what hardly changes.
_FIRST_OF_CLIENT = b"REMOTE_ADDR"


class Environs:
    """Makes environs of params. Any thread may use it: what two of them find out
    at once is found out twice, and the same."""

    __slots__ = ("_base", "_known")

    def __init__(self, base=None):
        self._base = base or {}
        self._known = {}  # a beginning of whole pairs, as bytes -> base with these pairs

    def new(self):
        """Returns an environ without params."""
        return self._base.copy()

    def of(self, params):
        """Returns an environ with params, or None if they are not whole pairs."""
        # What a client sent may look like the name: then the beginning is another
        # one, or is not whole pairs and never known. Both cost time and nothing else.
        at = params.find(_FIRST_OF_CLIENT) - 2
        known = self._known.get(params[:at]) if at > 0 else None
        if known is not None:
            environ = known.copy()
            return environ if decode_pairs(params, environ, at) == len(params) else None
        environ = self._base.copy()
        if at > 0 and decode_pairs(params[:at], environ) == at:
            self._keep(params[:at], environ)
        return environ if decode_pairs(params, environ) == len(params) else None

    def _keep(self, beginning, environ):
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[beginning] = environ.copy()
