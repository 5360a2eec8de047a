"""A web server on this machine that misbehaves as it is told to."""

import http.server
import socket
import threading

from helpers.archives import md5, random_bytes
from hourglass.config import DataParams, SyntheticParams
from hourglass.data.http import RemoteFile

RECORDS = b'[{"image": "a.jpg"}]'
BIG = random_bytes(3_000_000)


def data_params(dataset, mirror="", folder="unused", sets=None, num=1):
    synthetic = SyntheticParams(num_train=num, num_val=1, seed=0)
    return DataParams(
        dataset=dataset,
        mirror=mirror,
        folder=str(folder),
        val_fraction=0.1,
        schema="mpii",
        synthetic=synthetic,
        sets=sets or {},
    )


# A server that serves `files`, and misbehaves once for each entry of `faults`: a dict of
# status, headers, location, offset (of a 206), no_range, cut (bytes sent before it breaks off),
# stall (the same, but it falls silent), swap (the file changes to these bytes from then on),
# flip (this byte is sent wrong), unsized, raw (these bytes are the whole answer).
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        site = self.server
        name = self.path.lstrip("/")
        fault = site.faults.pop(0) if site.faults else site.always
        if "swap" in fault:
            site.files[name] = fault["swap"]
        site.requests.append((name, self.headers.get("Range")))
        if "raw" in fault:
            self.wfile.write(fault["raw"])
            self.close_connection = True
            return
        if "status" in fault or name not in site.files:
            self.refuse(fault)
            return
        self.serve(site.files[name], fault)

    def refuse(self, fault):
        self.send_response(fault.get("status", 404))
        for key, value in fault.get("headers", {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(self, content, fault):
        etag = None if self.server.no_etag else f'"{md5(content)}"'
        asked = self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, etag) or fault.get("ignore_if_range")
        start = 0
        if asked and unchanged and not fault.get("no_range"):
            if int(asked.removeprefix("bytes=").rstrip("-")) >= len(content):
                self.refuse({"status": 416})
                return
            start = fault.get("offset", int(asked.removeprefix("bytes=").rstrip("-")))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if etag:
            self.send_header("ETag", etag)
        for key, value in fault.get("headers", {}).items():
            self.send_header(key, value)
        if "flip" in fault:
            place = fault["flip"]
            content = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        body = content[start:]
        if fault.get("unsized"):
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send_body(body, fault)

    def send_body(self, body, fault):
        body = body[: fault.get("cut", fault.get("stall", len(body)))]
        self.server.sent.append(len(body))
        self.wfile.write(body)
        if "stall" in fault:
            self.server.stopped.wait(5)
            self.close_connection = True
        elif "cut" in fault or fault.get("unsized"):
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.requests, self.sent = {}, [], [], []
        self.always, self.no_etag = {}, False
        self.stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        pass  # a client that hangs up is part of the tests

    def remote(self, name, content, **expected):
        self.files[name] = content
        return RemoteFile(name, f"{self.url}/{name}", **expected)
