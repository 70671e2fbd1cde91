"""HTTP/3 of the laboratory: one page for whatever is asked.

Usage: http3.py ADDRESS CERTIFICATE KEY SIZE PIECES. It prints a line when it listens. To the file PIECES it writes offset and length
of each CRYPTO frame of the Initial packets that it receives: an independent witness of how a hello came.
"""

import asyncio
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.logger import QuicLogger, QuicLoggerTrace


class Page(QuicConnectionProtocol):
    http = None

    def quic_event_received(self, event):
        self.http = self.http or H3Connection(self._quic)
        for seen in self.http.handle_event(event):
            if isinstance(seen, HeadersReceived):
                self.http.send_headers(seen.stream_id, [(b":status", b"200"), (b"content-type", b"text/plain")])
                self.http.send_data(seen.stream_id, b"w" * SIZE, True)
                self.transmit()


class Trace(QuicLoggerTrace):
    frames = []

    def log_event(self, *, category, event, data):
        # A packet is logged before its frames are read: at the next event they are there.
        while self.frames:
            frame = self.frames.pop(0)
            if frame["frame_type"] == "crypto":
                PIECES.write(f"{frame['offset']} {frame['length']}\n")
        if event == "packet_received" and data["header"]["packet_type"] == "initial":
            self.frames = data["frames"]


class Witness(QuicLogger):
    def start_trace(self, is_client, odcid):
        return Trace(is_client=is_client, odcid=odcid)

    def end_trace(self, trace):
        pass


async def main(address, certificate, key):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN, quic_logger=Witness())
    configuration.load_cert_chain(certificate, key)
    await serve(address, 443, configuration=configuration, create_protocol=Page)
    print("ready", flush=True)
    await asyncio.Event().wait()


SIZE = int(sys.argv[4])
PIECES = open(sys.argv[5], "w", buffering=1)
asyncio.run(main(*sys.argv[1:4]))
