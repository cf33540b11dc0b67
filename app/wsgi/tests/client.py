"""A web server's end for the tests: starts the host for real, writes records by hand."""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(os.path.dirname(FOLDER), "frontd_wsgi")
# Seconds after which a test that waits has failed.
PATIENCE = 60


def record(kind, request_id, content=b"", padding=None, version=1):
    if padding is None:
        padding = -len(content) & 7
    return struct.pack(">BBHHBB", version, kind, request_id, len(content), padding, 0xFF) + content + b"\0" * padding


def pair(name, value):
    def length(n):
        return bytes([n]) if n < 128 else struct.pack(">I", n | 1 << 31)
    name, value = name.encode("latin-1"), value.encode("latin-1")
    return length(len(name)) + length(len(value)) + name + value


def params(uri="/", method="GET", **more):
    environ = {
        "REQUEST_METHOD": method, "REQUEST_URI": uri, "SCRIPT_NAME": "", "PATH_INFO": uri.partition("?")[0],
        "QUERY_STRING": uri.partition("?")[2], "SERVER_NAME": "localhost", "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1", "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
    }
    environ.update(more)
    return b"".join(pair(n, v) for n, v in environ.items() if v is not None)


def begin(request_id=1, keep=True, role=1):
    return record(1, request_id, struct.pack(">HB5x", role, 1 if keep else 0))


def head(uri="/", request_id=1, keep=True, **more):
    return begin(request_id, keep) + record(4, request_id, params(uri, **more)) + record(4, request_id)


def request(uri="/", body=b"", request_id=1, keep=True, **more):
    if body:
        more.setdefault("method", "POST")
        more.setdefault("CONTENT_LENGTH", str(len(body)))
    out = [head(uri, request_id, keep, **more)]
    out += [record(5, request_id, body[i:i + 65535]) for i in range(0, len(body), 65535)]
    out.append(record(5, request_id))
    return b"".join(out)


class Answer:
    """What came for one request. status is None where no END_REQUEST did."""

    def __init__(self):
        self.stdout = b""
        self.stderr = b""
        self.app_status = None
        self.protocol_status = None

    @property
    def ended(self):
        return self.protocol_status is not None

    @property
    def head(self):
        return self.stdout.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def body(self):
        return self.stdout.partition(b"\r\n\r\n")[2]

    @property
    def status(self):
        first = self.head.split("\r\n")[0]
        return int(first.split()[1]) if first.startswith("Status: ") else None

    def header(self, name):
        values = [line.partition(": ")[2] for line in self.head.split("\r\n")
                  if line.lower().startswith(name.lower() + ":")]
        return ", ".join(values) if values else None


class Client:
    def __init__(self, address, family=socket.AF_UNIX):
        self.sock = socket.socket(family)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(address)
        self._buf = b""

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()

    def read_record(self):
        """Returns (kind, id, content), or None where the host closed."""
        header = self._exactly(8)
        if header is None:
            return None
        version, kind, request_id, length, padding, _ = struct.unpack(">BBHHBB", header)
        assert version == 1, "record of version %d" % version
        assert (8 + length + padding) % 8 == 0, "records are padded to eight bytes"
        content = self._exactly(length + padding)
        assert content is not None, "the host closed within a record"
        return kind, request_id, content[:length]

    def _exactly(self, n):
        while len(self._buf) < n:
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._buf += data
        out, self._buf = self._buf[:n], self._buf[n:]
        return out

    def read_answer(self, request_id=1):
        answer = Answer()
        while True:
            got = self.read_record()
            if got is None:
                return answer
            kind, got_id, content = got
            assert got_id == request_id, "record of request %d while %d is asked" % (got_id, request_id)
            if kind == 6:
                answer.stdout += content
            elif kind == 7:
                answer.stderr += content
            elif kind == 3:
                answer.app_status, answer.protocol_status = struct.unpack(">IB3x", content)
                return answer

    def ask(self, uri="/", body=b"", **more):
        self.send(request(uri, body, **more))
        return self.read_answer(more.get("request_id", 1))

    def at_end(self):
        """Waits for the host to close. Returns False if it sends something instead."""
        return self.read_record() is None


class Host:
    """The host process, with a socket of its own on descriptor 0."""

    def __init__(self, source, target="webapp:application", threads=1, python=sys.executable, family=socket.AF_UNIX,
                 env=None, args=(), stderr=None):
        self.folder = tempfile.mkdtemp()
        with open(os.path.join(self.folder, "webapp.py"), "w") as f:
            f.write(source)
        self.family = family
        listener = socket.socket(family)
        listener.bind(os.path.join(self.folder, "s") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        listener.listen(64)
        self.address = listener.getsockname()
        command = [python, PACKAGE, target, "--directory", self.folder, "--threads", str(threads)] + list(args)
        self.stderr = stderr or tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=listener, stdout=subprocess.PIPE, stderr=self.stderr,
                                        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})})
        self.listener = listener
        self._clients = []

    def client(self):
        client = Client(self.address, self.family)
        self._clients.append(client)
        return client

    def log(self):
        # Not by seeking: the process shares the position and would write there.
        return os.pread(self.stderr.fileno(), 1 << 24, 0).decode()

    def await_line(self, wanted):
        """Reads what the application prints until it prints wanted."""
        for line in self.process.stdout:
            if line.decode().strip() == wanted:
                return
        raise AssertionError("the host ended without printing %r" % wanted)

    def term(self):
        self.process.terminate()

    def wait(self):
        return self.process.wait(PATIENCE)

    def close(self):
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.stderr.close()
        self.listener.close()
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def hosting(source, **options):
    host = Host(source, **options)
    try:
        yield host
    finally:
        host.close()
