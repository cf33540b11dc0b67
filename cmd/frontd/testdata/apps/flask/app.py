"""What the tests ask of every application, in Flask; and a stream with a gate."""
import hashlib
import os
import subprocess
import threading

from flask import Flask, Response, request

app = Flask(__name__)
gates = {}
lock = threading.Lock()


def gate(name):
    with lock:
        return gates.setdefault(name, threading.Event())


@app.get("/")
def index():
    return "flask %d\n" % os.getpid()


@app.route("/form", methods=["GET", "POST"])
def form():
    return "name=%s text=%s method=%s\n" % (
        request.values.get("name"), request.values.get("text"), request.method)


@app.route("/checksum", methods=["POST", "PUT"])
def checksum():
    digest, size = hashlib.sha256(), 0
    while block := request.stream.read(65536):
        digest.update(block)
        size += len(block)
    return {"size": size, "sha256": digest.hexdigest()}


@app.post("/upload")
def upload():
    f = request.files["file"]
    data = f.read()
    return "%s %d %s field=%s\n" % (
        f.filename, len(data), hashlib.sha256(data).hexdigest(), request.form.get("field"))


@app.get("/download")
def download():
    left = int(request.args["bytes"])
    block = bytes(i % 251 for i in range(251 * 256))

    def body():
        n = left
        while n > 0:
            yield block[:n]
            n -= len(block)
    return Response(body(), mimetype="application/octet-stream", headers={"Content-Length": str(left)})


@app.get("/events/<name>")
def events(name):
    """The second event is made when somebody opens the gate."""
    def body():
        yield "data: first\n\n"
        if not gate(name).wait(60):
            raise RuntimeError("nobody opened the gate")
        yield "data: second\n\n"
    return Response(body(), mimetype="text/event-stream")


@app.post("/open/<name>")
def open_gate(name):
    gate(name).set()
    return "open\n"


@app.post("/early")
def early():
    """An answer before the body is read."""
    return "enough\n", 413


@app.post("/detach")
def detach():
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return "%d %d\n" % (os.getpid(), child.pid)


@app.get("/error")
def error():
    raise ValueError("an error of the application")
