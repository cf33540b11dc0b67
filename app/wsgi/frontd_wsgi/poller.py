"""Waits for the next thing to do: a new connection, or bytes on an idle one."""

import functools
import os
import select
import threading


class EpollPoller:
    """Any number of threads may wait at once. A connection is armed for one
    event at a time, so each event goes to exactly one thread: there is no
    queue and no hand-over between threads."""

    def __init__(self, listener_fd, wakers, threads):
        self._epoll = select.epoll()
        self._listener_fd = listener_fd
        # A worker that shares the socket with others is woken one at a time.
        self._epoll.register(listener_fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        for fd in wakers:
            self._epoll.register(fd, select.EPOLLIN)
        # One thread alone needs no arming: nobody waits while it works.
        self._oneshot = threads > 1
        self._events = select.EPOLLIN | (select.EPOLLONESHOT if self._oneshot else 0)
        batch = 1 if self._oneshot else 64  # a thread takes no more than it serves at once
        # wait returns pairs that begin with a descriptor that is ready. It is
        # called for every request: there is nothing of Python's in it.
        self.wait = functools.partial(self._epoll.poll, -1, batch)

    def arm(self, connection):
        if not connection.registered:
            connection.registered = True  # first: another thread may close it at once
            try:
                self._epoll.register(connection.fd, self._events)
            except OSError:
                connection.registered = False
                raise
        elif self._oneshot:
            self._epoll.modify(connection.fd, self._events)

    def forget(self, connection):
        # Closing alone would not do: a forked child may hold the socket open.
        if connection.registered:
            connection.registered = False
            self._epoll.unregister(connection.fd)

    def stop_listening(self):
        try:
            self._epoll.unregister(self._listener_fd)
        except OSError:
            pass  # another thread was first

    def close(self):
        self._epoll.close()


class PollPoller:
    """The same where there is no epoll: one thread waits for all, and the
    others for it. An armed connection pokes the one that waits."""

    def __init__(self, listener_fd, wakers, threads):
        self._read_poke, self._write_poke = os.pipe()
        os.set_blocking(self._read_poke, False)
        os.set_blocking(self._write_poke, False)
        self._fixed = {listener_fd, self._read_poke, *wakers}
        self._listener_fd = listener_fd
        self._armed = {}
        self._leader = threading.Lock()

    def wait(self):
        with self._leader:
            while True:
                poll = select.poll()
                for fd in list(self._fixed) + list(self._armed):
                    poll.register(fd, select.POLLIN)
                for fd, _ in poll.poll():
                    if fd == self._read_poke:
                        self._drain_pokes()
                    elif fd in self._fixed or self._armed.pop(fd, None):
                        return [(fd, 0)]

    def _drain_pokes(self):
        try:
            os.read(self._read_poke, 4096)
        except BlockingIOError:
            pass

    def arm(self, connection):
        self._armed[connection.fd] = True
        try:
            os.write(self._write_poke, b"p")
        except BlockingIOError:
            pass  # a full pipe wakes the leader as well

    def forget(self, connection):
        self._armed.pop(connection.fd, None)

    def stop_listening(self):
        self._fixed.discard(self._listener_fd)

    def close(self):
        os.close(self._read_poke)
        os.close(self._write_poke)


Poller = EpollPoller if hasattr(select, "epoll") else PollPoller
