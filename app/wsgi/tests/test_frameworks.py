"""Flask and Django as people use them, if this Python has them."""

import importlib.util
import unittest

from .client import hosting

FLASK = '''
import hashlib, logging, sys
from flask import Flask, Response, request, session, stream_with_context
app = Flask(__name__)
app.secret_key = "test"

@app.route("/")
def hello(): return "Hello, %s" % request.args.get("name", "you")

@app.route("/form", methods=["POST"])
def form(): return "|".join("%s=%s" % p for p in sorted(request.form.items()))

@app.route("/upload", methods=["POST"])
def upload():
    f = request.files["f"]
    return "%s %s" % (f.filename, hashlib.sha256(f.read()).hexdigest())

@app.route("/stream")
def stream(): return Response(stream_with_context(str(n) for n in range(5)))

@app.route("/count")
def count():
    session["n"] = session.get("n", 0) + 1
    return str(session["n"])

@app.route("/boom")
def boom(): raise LookupError("in a view")
'''

DJANGO = '''
import os, sys
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
                   MIDDLEWARE=["django.middleware.common.CommonMiddleware"])
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
def hello(request): return HttpResponse("Hello from %s" % request.path)
def form(request): return HttpResponse(request.POST["a"] + request.FILES["f"].read().decode())
def stream(request): return StreamingHttpResponse(iter([b"a", b"b"]))
def boom(request): raise LookupError("in a view")
urlpatterns = [path("hello/", hello), path("form/", form), path("stream/", stream), path("boom/", boom)]
application = get_wsgi_application()
'''

# The validator forbids wsgi.input.read() without a size, which Werkzeug from 2.3 on
# calls where it is told that the input ends by itself.
VALIDATED = '''
from wsgiref.validate import validator
def %s_(environ, start_response, validated=validator(%s)):
    environ.pop("wsgi.input_terminated")
    return validated(environ, start_response)
'''

BOUNDARY = "----boundary"


def multipart(fields, filename, content):
    parts = ["--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n" % (BOUNDARY, n, v) for n, v in fields]
    parts.append("--%s\r\nContent-Disposition: form-data; name=\"f\"; filename=\"%s\"\r\n"
                 "Content-Type: application/octet-stream\r\n\r\n" % (BOUNDARY, filename))
    return "".join(parts).encode() + content + ("\r\n--%s--\r\n" % BOUNDARY).encode()


def needs(module):
    return unittest.skipUnless(importlib.util.find_spec(module), "this Python has no " + module)


class Frameworks(unittest.TestCase):
    def run_both(self, source, name, steps):
        """Runs steps bare and inside wsgiref.validate; its stderr must stay empty."""
        wrapped = source + VALIDATED % (name, name)
        for text, target in ((source, name), (wrapped, name + "_")):
            with self.subTest(target), hosting(text, target="webapp:" + target, threads=2) as host:
                steps(host.client())
                self.assertEqual(host.log(), "")

    @needs("flask")
    def test_flask(self):
        self.run_both(FLASK, "app", self.flask)

    def flask(self, client):
        import hashlib
        self.assertEqual(client.ask("/?name=%C3%A4").body, "Hello, ä".encode())
        form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
        self.assertEqual(client.ask("/form", b"b=2&a=%20x", **form).body, b"a= x|b=2")
        content = bytes(range(256)) * 8192
        answer = client.ask("/upload", multipart([], "a.bin", content), CONTENT_TYPE="multipart/form-data; boundary=" + BOUNDARY)
        self.assertEqual(answer.body.decode(), "a.bin " + hashlib.sha256(content).hexdigest())
        self.assertEqual(client.ask("/stream").body, b"01234")
        first = client.ask("/count")
        again = client.ask("/count", HTTP_COOKIE=first.header("Set-Cookie").split(";")[0])
        self.assertEqual((first.body, again.body), (b"1", b"2"))
        self.assertEqual(client.ask("/", method="HEAD").stdout.partition(b"\r\n\r\n")[2], b"")
        boom = client.ask("/boom")
        self.assertEqual((boom.status, boom.ended), (500, True))
        self.assertIn(b"LookupError: in a view", boom.stderr)
        self.assertEqual(client.ask("/none").status, 404)

    @needs("django")
    def test_django(self):
        self.run_both(DJANGO, "application", self.django)

    def django(self, client):
        self.assertEqual(client.ask("/hello/").body, b"Hello from /hello/")
        self.assertEqual(client.ask("/app/hello/", SCRIPT_NAME="/app", PATH_INFO="/hello/").body, b"Hello from /app/hello/")
        self.assertEqual(client.ask("/hello").header("Location"), "/hello/")
        answer = client.ask("/form/", multipart([("a", "x")], "n", b"file"), CONTENT_TYPE="multipart/form-data; boundary=" + BOUNDARY)
        self.assertEqual(answer.body, b"xfile")
        self.assertEqual(client.ask("/stream/").body, b"ab")
        self.assertEqual(client.ask("/boom/").status, 500)
