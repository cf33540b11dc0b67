"""From FastCGI params to environ: what each kind of server sends."""

import io
import unittest

from frontd_wsgi import environ, folder
from frontd_wsgi.environ import BadRequest, complete, split_path
from frontd_wsgi.record import decode_pairs

from .client import pair


class Paths(unittest.TestCase):
    rows = [
        # SCRIPT_NAME, PATH_INFO, REQUEST_URI -> SCRIPT_NAME, PATH_INFO, who sends it
        ("", "/a/b", "/a/b?x=1", "", "/a/b", "frontd at the root"),
        ("/app", "/a", "/app/a", "/app", "/a", "frontd below a prefix"),
        ("/app", "", "/app", "/app", "", "exactly the prefix"),
        ("/a", "/a", "/a/a", "/a", "/a", "a prefix that the path repeats"),
        ("/a/b", None, "/a/b?x", "", "/a/b", "nginx fastcgi_params, Apache ProxyPass"),
        ("/a b", None, "/a%20b", "", "/a b", "the same, with an escape"),
        ("/a/c", None, "/a//b/../c", "", "/a/c", "the same, where nginx resolved dots"),
        ("/a/", None, "/a/./", "", "/a/", "the same, with a slash at the end"),
        ("/app", None, "/app/x", "/app", "/x", "nginx with SCRIPT_NAME set to the mount point"),
        ("/a/b", "/a/b", "/a/b", "", "/a/b", "nginx with PATH_INFO $fastcgi_script_name"),
        ("/index.wsgi", None, "/a/b", "", "/a/b", "a rewrite to a script"),
        ("/", "a/b", "/a/b", "", "/a/b", "lighttpd without fix-root-scriptname"),
        ("", "", "/a", "", "/a", "neither"),
        ("", None, "", "", "", "nothing at all"),
        ("/a", None, "", "", "/a", "no REQUEST_URI"),
        ("", "", "*", "", "", "OPTIONS *"),
        ("", None, "http://h/abs?x", "", "/abs", "absolute form"),
        ("", None, "/\x80%80", "", "/\x80\x80", "bytes above 127"),
        ("", None, "/a%2Fb", "", "/a/b", "an escaped slash"),
        ("", "/x", "/elsewhere", "", "/x", "a rewrite that says so in PATH_INFO"),
    ]

    def test_rows(self):
        for script, info, uri, want_script, want_info, why in self.rows:
            with self.subTest(why):
                self.assertEqual(split_path(script, info, uri), (want_script, want_info))


class Octets(unittest.TestCase):
    def test_all_arrive_as_latin_1(self):
        """NUL and other controls too, where the web server lets them through: PATH_INFO may
        have any (RFC 3875 4.1.5, lchar), and no Python string ends at one."""
        octets = "".join(map(chr, range(256)))
        got = {}
        data = pair("PATH_INFO", "/" + octets) + pair("HTTP_X", octets)
        self.assertEqual(decode_pairs(data, got), len(data))
        complete(got)
        self.assertEqual((got["PATH_INFO"], got["HTTP_X"]), ("/" + octets, octets))

    def test_no_file_has_a_name_with_NUL(self):
        errors, statuses = io.StringIO(), []
        folder.application({"SCRIPT_FILENAME": "/a\0.py", "wsgi.errors": errors}, lambda status, headers: statuses.append(status))
        self.assertEqual(statuses, ["404 Not Found"])
        self.assertIn("no file has the name", errors.getvalue())


class Variables(unittest.TestCase):
    def complete(self, **params):
        params.setdefault("PATH_INFO", "/")
        params.setdefault("SCRIPT_NAME", "")
        self.length = complete(params)
        return params

    def test_length(self):
        self.assertNotIn("CONTENT_LENGTH", self.complete(CONTENT_LENGTH="", CONTENT_TYPE=""))
        self.assertIsNone(self.length)
        self.assertNotIn("CONTENT_LENGTH", self.complete(CONTENT_LENGTH="-1"), "Caddy's word for a chunked body")
        self.complete(CONTENT_LENGTH="12")
        self.assertEqual(self.length, 12)
        for bad in ("-2", "1x", "\xb2", "9" * 19):
            with self.assertRaises(BadRequest, msg=bad):
                self.complete(CONTENT_LENGTH=bad)

    def test_dropped(self):
        got = self.complete(HTTP_PROXY="http://evil", HTTP_CONTENT_LENGTH="1", HTTP_CONTENT_TYPE="a/b", HTTP_X="y")
        self.assertEqual([n for n in got if n.startswith("HTTP_")], ["HTTP_X"])

    def test_scheme(self):
        for params, want in (({}, "http"), ({"HTTPS": "on"}, "https"), ({"HTTPS": "off"}, "http"),
                             ({"HTTPS": "", "REQUEST_SCHEME": "https"}, "https"), ({"REQUEST_SCHEME": "ftp"}, "http"),
                             ({"HTTP_X_FORWARDED_PROTO": "https"}, "http")):
            self.assertEqual(self.complete(**params)["wsgi.url_scheme"], want, params)

    def test_request_id(self):
        self.assertEqual(self.complete(REQUEST_ID="r1")["frontd.request_id"], "r1")

    def test_threads_are_told(self):
        self.assertIs(environ.constants(1)["wsgi.multithread"], False)
        self.assertIs(environ.constants(2)["wsgi.multithread"], True)
