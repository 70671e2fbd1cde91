"""A public resolver of the laboratory: DNS over UDP, TCP, TLS and HTTPS, with one answer for every name.

Usage: resolver.py ADDRESS CERTIFICATE KEY. It prints a line when all four listen.
"""

import http.server
import socket
import socketserver
import ssl
import struct
import sys
import threading

A, HTTPS = 1, 65
TTL = 60
# Priority 1, the owner's own name; alpn h2, ipv4hint 203.0.113.30, ech (RFC 9460, 2.2 and 7).
SERVICE = b"\0\1\0" + b"\0\1\0\3\2h2" + b"\0\4\0\4" + bytes([203, 0, 113, 30]) + b"\0\5\0\4\0\2\xfe\x0d"
DATA = {A: bytes([192, 0, 2, 10]), HTTPS: SERVICE}


def answer(query):
    """The answer to a query of one question; what follows the question, as EDNS does, is not read."""
    end = query.index(0, 12) + 5
    kind = struct.unpack(">H", query[end - 4 : end - 2])[0]
    data = DATA.get(kind)
    head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if data else 0, 0, 0)
    record = struct.pack(">HHHIH", 0xC00C, kind, 1, TTL, len(data)) + data if data else b""
    return head + query[12:end] + record


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        query, server = self.request
        server.sendto(answer(query), self.client_address)


class Stream(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while len(length := self.rfile.read(2)) == 2:
            reply = answer(self.rfile.read(struct.unpack(">H", length)[0]))
            # Split where a reader of whole messages would stumble: inside the length.
            message = struct.pack(">H", len(reply)) + reply
            self.wfile.write(message[:1])
            self.wfile.flush()
            self.wfile.write(message[1:])


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        reply = answer(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "application/dns-message")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    context = None

    def get_request(self):
        connection, client = super().get_request()
        if self.context:
            # The handshake is made by the thread that reads first.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, client

    def handle_error(self, *_):
        pass


def main(address, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    servers = [socketserver.UDPServer((address, 53), Datagram), Threads((address, 53), Stream)]
    for port, handler in [(853, Stream), (443, Http)]:
        servers.append(Threads((address, port), handler))
        servers[-1].context = context
    for server in servers:
        threading.Thread(target=server.serve_forever).start()
    print("ready", flush=True)


main(*sys.argv[1:])
