"""What a running host tells a page over its WebSocket (RFC 6455): messages, progress, texts, previews."""

import json
import os
import socket
import struct
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_TEXT, _BINARY, _PING = 1, 2, 9
_PREVIEW, _NODE_TEXT = 1, 3


@dataclass(frozen=True)
class Event:
    """One message: its kind, its contents, when it came."""

    kind: str
    data: Any
    time_s: float


class Events:
    """The events of one client of a host."""

    def __init__(self, url: str, client_id: str, limit_s: float = 300):
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=limit_s)
        self._stream = self._socket.makefile("rb")
        key = b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /ws?clientId={client_id} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b"101" in self._stream.readline()
        while self._stream.readline().strip():
            pass

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def __iter__(self) -> Iterator[Event]:
        """Messages as they come, without end."""
        while True:
            code, data = self._frame()
            if code == _TEXT:
                message = json.loads(data)
                yield Event(message["type"], message["data"], time.monotonic())
            elif code == _BINARY:
                yield _binary_event(data)

    def of(self, prompt_id: str) -> Iterator[Event]:
        """Messages until a prompt has ended."""
        for event in self:
            yield event
            if event.kind == "executing" and event.data == {"node": None, "prompt_id": prompt_id}:
                return

    def _frame(self) -> tuple[int, bytes]:
        """(opcode, contents) of a message that comes in one frame, as this host sends them, unmasked."""
        first, length = self._stream.read(2)
        if length == 126:
            (length,) = struct.unpack(">H", self._stream.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._stream.read(8))
        data = self._stream.read(length)
        if first & 15 == _PING:
            self._socket.sendall(bytes([0x8A, 0x80, 0, 0, 0, 0]))
        return first & 15, data


def _binary_event(data: bytes) -> Event:
    (kind,) = struct.unpack(">I", data[:4])
    if kind == _NODE_TEXT:
        (length,) = struct.unpack(">I", data[4:8])
        node, text = data[8 : 8 + length].decode(), data[8 + length :].decode()
        return Event("text", {"node": node, "text": text}, time.monotonic())
    if kind == _PREVIEW:
        return Event("preview", data[8:], time.monotonic())
    return Event(f"binary {kind}", data[4:], time.monotonic())
