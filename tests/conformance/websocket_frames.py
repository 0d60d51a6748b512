"""WebSocket frames as bytes: a server that records what it receives, and a client that sends.

A proxy has no business inside a WebSocket: whatever the frames are, good, bad, split, interleaved or
masked in an odd way, the bytes that leave are the bytes that came. The client sends each case, the
server sends it back behind a mark, and both directions are compared.
"""

import base64
import hashlib
import os
import random
import socket
import ssl
import struct
import sys
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def head(stream):
    """Everything up to the empty line."""
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        byte = stream.recv(1)
        if not byte:
            raise EOFError(text)
        text += byte
    return text


def exactly(stream, size):
    """So many bytes."""
    parts = []
    while size:
        part = stream.recv(min(size, 65536))
        if not part:
            raise EOFError(size)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def frame(opcode, payload, fin=True, rsv=0, mask=None, length=None):
    """One frame, also one that no standard allows."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if mask is not None else 0
    size = len(payload)
    form = length or (0 if size < 126 else 2 if size < 65536 else 8)
    out = bytes([first])
    if form == 0:
        out += bytes([masked | size])
    elif form == 2:
        out += bytes([masked | 126]) + struct.pack(">H", size)
    else:
        out += bytes([masked | 127]) + struct.pack(">Q", size)
    if mask is not None:
        out += mask
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if any(mask) else payload
    return out + payload


def cases():
    """Names and bytes: the subjects of the usual conformance suites, and frames that they refuse."""
    mask = b"\x12\x34\x56\x78"
    for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 1 << 20):
        yield f"text of {size}", frame(1, b"*" * size, mask=mask)
        yield f"binary of {size}", frame(2, os.urandom(size), mask=mask)
    for size in (0, 125):
        yield f"ping of {size}", frame(9, b"\xfe" * size, mask=mask)
        yield f"pong of {size}", frame(10, b"\xff" * size, mask=mask)
    yield "ping that is too long", frame(9, b"x" * 126, mask=mask)
    for rsv in range(1, 8):
        yield f"reserved bits {rsv}", frame(1, b"hello", rsv=rsv, mask=mask)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"reserved opcode {opcode}", frame(opcode, b"hello", mask=mask)
    parts = [frame(1, b"one", fin=False, mask=mask), frame(0, b"two", fin=False, mask=mask)]
    yield "fragments", b"".join(parts) + frame(0, b"three", mask=mask)
    yield "ping between fragments", parts[0] + frame(9, b"ping", mask=mask) + frame(0, b"", mask=mask)
    yield "continuation of nothing", frame(0, b"x", mask=mask)
    yield "text that is not UTF-8", frame(1, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80", mask=mask)
    yield "frame without a mask", frame(1, b"hello")
    yield "mask of zeros", frame(2, b"hello", mask=b"\0\0\0\0")
    yield "long form of a short length", frame(2, b"hello", mask=mask, length=8)
    yield "thousand small frames", b"".join(frame(2, bytes([i % 256]), mask=mask) for i in range(1000))
    for code in (1000, 1001, 1005, 1006, 4999, 65535):
        yield f"close with {code}", frame(8, struct.pack(">H", code) + b"bye", mask=mask)
    yield "close with one byte", frame(8, b"x", mask=mask)
    yield "bytes that are no frames", os.urandom(10000)


def serve(port):
    """Answers handshakes, then sends back each block of bytes, whose length comes first."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)

    def talk(stream):
        try:
            request = head(stream)
            key = next(l for l in request.split(b"\r\n") if l.lower().startswith(b"sec-websocket-key:"))
            accept = base64.b64encode(hashlib.sha1(key.split(b":", 1)[1].strip() + GUID).digest())
            stream.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            while True:
                size = struct.unpack(">I", exactly(stream, 4))[0]
                data = exactly(stream, size)
                stream.sendall(hashlib.sha256(data).digest() + data)
        except (EOFError, OSError, StopIteration):
            stream.close()

    while True:
        stream, _ = listener.accept()
        threading.Thread(target=talk, args=(stream,), daemon=True).start()


def connect(port, authority):
    """A WebSocket that has just been opened."""
    stream = socket.create_connection(("127.0.0.1", port), timeout=30)
    if authority:
        context = ssl.create_default_context(cafile=authority)
        stream = context.wrap_socket(stream, server_hostname="localhost")
    stream.sendall(
        b"GET /frames HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = head(stream)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return stream


def pieces(data, how):
    """The same bytes, cut as a sender might."""
    if how == "whole":
        return [data]
    if how == "bytes":
        return [data[i : i + 1] for i in range(len(data))]
    cuts, rest = [], data
    while rest:
        size = random.randrange(1, 5000)
        cuts.append(rest[:size])
        rest = rest[size:]
    return cuts


def run(web, webs, authority):
    """All cases over clear text and TLS, in several cuts."""
    total = 0
    for port, trust, name in ((web, None, "clear text"), (webs, authority, "TLS")):
        count = 0
        for how in ("whole", "bytes", "pieces"):
            stream = connect(port, trust)
            for label, data in cases():
                if how == "bytes" and len(data) > 2000:
                    continue
                stream.sendall(struct.pack(">I", len(data)))
                for piece in pieces(data, how):
                    stream.sendall(piece)
                digest = exactly(stream, 32)
                back = exactly(stream, len(data))
                assert digest == hashlib.sha256(data).digest(), f"{name}, {label}, {how}: not what was sent"
                assert back == data, f"{name}, {label}, {how}: not what was answered"
                count += 1
            stream.close()
        print(f"{name}: {count} cases arrived and came back byte for byte")
        total += count
    assert total > 250, total


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        run(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
