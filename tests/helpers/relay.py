"""A server in between that breaks connections, or keeps them waiting."""

import contextlib
import socket
import socketserver
import threading


class Relay(socketserver.ThreadingTCPServer):
    """Passes connections on to `target`, at most `limit` bytes each way: then `broken` is set.

    A connection that has had its limit is closed, or, if `stalls`, falls silent until `released`.
    """

    daemon_threads = True

    def __init__(self, target, limit, stalls=False):
        super().__init__(("127.0.0.1", 0), PassOn)
        self.target, self.limit, self.stalls = target, limit, stalls
        self.broken, self.released = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_):
        pass  # a side that hangs up is part of the tests

    @contextlib.contextmanager
    def at_work(self):
        thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self.shutdown()
            self.server_close()
            thread.join()


class PassOn(socketserver.BaseRequestHandler):
    """One connection of a Relay."""

    def handle(self):
        with socket.create_connection(self.server.target) as behind:
            there = threading.Thread(target=self.pass_on, args=(self.request, behind), daemon=True)
            there.start()
            self.pass_on(behind, self.request)

    def pass_on(self, source, sink):
        left = self.server.limit
        with contextlib.suppress(OSError):
            while left and (content := source.recv(min(left, 65536))):
                sink.sendall(content)
                left -= len(content)
            if not left:
                self.break_off()
            for side in (source, sink):
                side.shutdown(socket.SHUT_RDWR)

    def break_off(self):
        self.server.broken.set()
        if self.server.stalls:
            self.server.released.wait(60)
