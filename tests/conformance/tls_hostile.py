"""Hostile TLS clients, written with tlslite-ng: what each sends, and how adit must end it.

Everything here is refused with an alert or a close within the deadline of a handshake, and a usual
client is served afterwards.
"""

import os
import socket
import ssl
import struct
import sys
import time

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import CipherSuite, ContentType
from tlslite.errors import TLSAbruptCloseError, TLSAlert
from tlslite.messages import ApplicationData, ClientHello

PORT = int(sys.argv[1])
NAME = "www.example.test"


def dial():
    """A connection with a deadline."""
    return socket.create_connection(("127.0.0.1", PORT), timeout=15)


def record(kind, payload, version=(3, 1)):
    """One TLS record."""
    return bytes([kind, *version]) + struct.pack(">H", len(payload)) + payload


def hello(extensions, ciphers=(0x1301, 0xC02B, 0xC02F), version=(3, 3), compression=b"\x01\x00", session=b""):
    """A ClientHello with these extensions, as the payload of a record."""
    body = bytes(version) + os.urandom(32) + bytes([len(session)]) + session
    body += struct.pack(">H", 2 * len(ciphers)) + b"".join(struct.pack(">H", c) for c in ciphers) + compression
    block = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in extensions)
    body += struct.pack(">H", len(block)) + block
    return b"\x01" + struct.pack(">I", len(body))[1:] + body


def sni(name):
    """The extension that names the host."""
    entry = b"\0" + struct.pack(">H", len(name)) + name
    return (0, struct.pack(">H", len(entry)) + entry)


GROUPS = (10, b"\0\2\0\x1d")
SIGNATURES = (13, b"\0\4\4\3\x08\4")
VERSIONS = (43, b"\x04\x03\x04\x03\x03")
KEY_SHARE = (51, b"\0\x24\0\x1d\0\x20" + b"\x09" + bytes(31))
USUAL = [sni(NAME.encode()), GROUPS, SIGNATURES, VERSIONS, KEY_SHARE]


def outcome(data, wait=12):
    """What comes back: `alert N`, `handshake`, `closed`, or `open`."""
    stream = dial()
    try:
        for piece in data if isinstance(data, list) else [data]:
            stream.sendall(piece)
        stream.settimeout(wait)
        answer = b""
        while len(answer) < 7:
            part = stream.recv(4096)
            if not part:
                return "closed" if not answer else f"closed after {answer[:7].hex()}"
            answer += part
        if answer[0] == ContentType.alert:
            return f"alert {answer[6]}"
        return "handshake" if answer[0] == ContentType.handshake else f"record {answer[0]}"
    except (ConnectionResetError, BrokenPipeError):
        return "closed"
    except socket.timeout:
        return "open"
    finally:
        stream.close()


def raw_cases():
    """Name, bytes, and the outcomes that are right."""
    refused = {"closed"} | {f"alert {n}" for n in (10, 20, 22, 40, 47, 50, 70, 80, 86, 109, 110, 112, 120)}
    good = hello(USUAL)
    yield "a usual hello", record(22, good), {"handshake"}
    yield "no name", record(22, hello(USUAL[1:])), {"alert 112"}
    yield "an unknown name", record(22, hello([sni(b"gone.example.org")] + USUAL[1:])), {"alert 112"}
    for label, name in (("an address", b"192.0.2.1"), ("NUL", b"www.example.test\0.x"), ("a port", b"www.example.test:443"),
                        ("a star", b"*.example.test"), ("nothing", b""), ("UTF-8", "wüw.example.test".encode()),
                        ("a blank", b" www.example.test"), ("300 letters", b"a" * 300)):
        yield f"a name that is or holds {label}", record(22, hello([sni(name)] + USUAL[1:])), refused
    two = sni(NAME.encode())[1][2:]
    yield "two names", record(22, hello([(0, struct.pack(">H", 2 * len(two)) + two * 2)] + USUAL[1:])), refused
    yield "the extension of names twice", record(22, hello([USUAL[0]] + USUAL)), refused
    yield "no suite that we know", record(22, hello(USUAL, ciphers=(0x0005, 0x000A))), refused
    yield "no suite at all", record(22, hello(USUAL, ciphers=())), refused
    yield "compression only", record(22, hello(USUAL, compression=b"\x01\x01")), refused
    yield "TLS 1.0", record(22, hello(USUAL[:3], version=(3, 1), ciphers=(0xC009, 0xC013, 0x2F))), refused
    yield "TLS 1.1", record(22, hello(USUAL[:3], version=(3, 2), ciphers=(0xC009, 0xC013, 0x2F))), refused
    yield "SSL 3", record(22, hello([], version=(3, 0), ciphers=(0x2F,)), version=(3, 0)), refused
    yield "a hello of SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + os.urandom(37), refused
    yield "acme-tls/1", record(22, hello(USUAL + [(16, b"\0\x0b\x0aacme-tls/1")])), {"alert 120"}
    yield "records of one byte", b"".join(record(22, good[i : i + 1]) for i in range(len(good))), {"handshake"}
    yield "segments of one byte", [bytes([b]) for b in record(22, good)], {"handshake"}
    yield "an empty record in the middle", record(22, good[:9]) + record(22, b"") + record(22, good[9:]), refused
    yield "another kind of record in the middle", record(22, good[:9]) + record(23, b"x") + record(22, good[9:]), refused
    yield "an alert first", record(21, b"\2\x28"), refused
    yield "data first", record(23, b"GET / HTTP/1.1\r\n\r\n"), refused
    yield "a heartbeat first", record(24, b"\1\x40\0" + b"x" * 16), refused
    yield "a length of a message over the limit", record(22, b"\1\xff\xff\xff" + b"x" * 100), refused
    yield "a record over the limit", bytes([22, 3, 1, 0xFF, 0xFF]) + b"x" * 65535, refused
    yield "an extension that runs past the end", record(22, good[:-38] + b"\0\xff" + good[-36:]), refused
    yield "a finished message first", record(22, b"\x14\0\0\x0c" + b"x" * 12), refused
    yield "plain HTTP", b"GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n", refused | {"closed after " + b"HTTP/1.".hex(), "record 72"}
    yield "half a hello", record(22, good)[:100], {"closed", "alert 10", "alert 40", "alert 50"}
    yield "nothing", b"", {"closed"}
    for size in (1, 5, 43, len(good) // 2):
        cut = good[:size]
        yield f"{size} bytes of a hello that says it is whole", record(22, cut[:1] + struct.pack(">I", max(size - 4, 0))[1:] + cut[4:]), refused


def settings(**changes):
    """Settings of a client that may do anything."""
    made = HandshakeSettings()
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def handshake(made, **more):
    """`served` if the handshake succeeds and a request is answered, else what ended it."""
    stream = dial()
    connection = TLSConnection(stream)
    connection.ignoreAbruptClose = True
    try:
        connection.handshakeClientCert(settings=made, serverName=NAME, **more)
        connection.send(b"GET / HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")
        return "served" if connection.recv(12).startswith(b"HTTP/1.1 200") else "not served"
    except (TLSAlert, TLSAbruptCloseError, OSError, ValueError) as error:
        return type(error).__name__
    finally:
        stream.close()


def library_cases():
    """Whole handshakes of another library."""
    yield "TLS 1.3", settings(minVersion=(3, 4)), True
    yield "TLS 1.2", settings(maxVersion=(3, 3)), True
    yield "TLS 1.2 with ChaCha20", settings(maxVersion=(3, 3), cipherNames=["chacha20-poly1305"]), True
    yield "TLS 1.2 with P-256", settings(maxVersion=(3, 3), eccCurves=["secp256r1"], keyShares=[]), True
    yield "TLS 1.1", settings(minVersion=(3, 2), maxVersion=(3, 2)), False
    yield "TLS 1.0", settings(minVersion=(3, 1), maxVersion=(3, 1)), False
    yield "TLS 1.2 with CBC", settings(maxVersion=(3, 3), cipherNames=["aes128", "aes256"]), False
    yield "TLS 1.2 with 3DES", settings(maxVersion=(3, 3), cipherNames=["3des"]), False
    yield "TLS 1.2 without (EC)DHE", settings(maxVersion=(3, 3), keyExchangeNames=["rsa"]), False


def unknown_protocol():
    """Whether a client that offers only protocols that we do not know is told so (alert 120)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["foo"])
    try:
        with context.wrap_socket(dial(), server_hostname=NAME) as stream:
            return f"{stream.selected_alpn_protocol()} was chosen"
    except ssl.SSLError as error:
        return str(error)


def after_the_handshake():
    """What an established peer may not do; each ends its connection."""
    def established(maximum):
        connection = TLSConnection(dial())
        connection.ignoreAbruptClose = True
        connection.handshakeClientCert(settings=settings(maxVersion=maximum), serverName=NAME)
        return connection

    def ends(connection):
        connection.sock.settimeout(12)
        try:
            while connection.recv(4096):
                pass
            return True
        except socket.timeout:
            return False
        except (TLSAlert, TLSAbruptCloseError, OSError, ValueError):
            return True

    renegotiating = established((3, 3))
    again = ClientHello()
    again.create((3, 3), bytearray(32), bytearray(), [CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256])
    for _ in renegotiating._sendMsg(again):
        pass
    yield "renegotiation", ends(renegotiating)

    flooding = established((3, 4))
    ended = False
    try:
        for _ in range(5000):
            for _ in flooding.send_keyupdate_request(0):
                pass
    except (TLSAlert, TLSAbruptCloseError, OSError, ValueError):
        ended = True
    if not ended:
        # It may go on, as long as it costs no more than data.
        flooding.send(b"GET / HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")
        ended = flooding.recv(12).startswith(b"HTTP/1.1 200")
    yield "five thousand key updates", ended

    silent = established((3, 4))
    silent.sock.sendall(record(23, os.urandom(64), (3, 3)))
    yield "a record that is not authentic", ends(silent)

    empty = established((3, 4))
    try:
        for _ in range(2000):
            for _ in empty._sendMsg(ApplicationData().create(bytearray())):
                pass
    except (TLSAlert, TLSAbruptCloseError, OSError, ValueError):
        pass
    yield "two thousand empty records", ends(empty)


def main():
    """Runs everything, prints one line per group and what went wrong."""
    wrong = []
    count = 0
    for label, data, right in raw_cases():
        found = outcome(data)
        count += 1
        if found not in right:
            wrong.append(f"{label}: {found}, not one of {sorted(right)}")
    print(f"hellos: {count} cases ended as they should")
    count = 0
    for label, made, serves in library_cases():
        found = handshake(made)
        count += 1
        if (found == "served") != serves:
            wrong.append(f"{label}: {found}")
    told = unknown_protocol()
    count += 1
    if "alert no application protocol" not in told:
        wrong.append(f"only unknown protocols: {told}")
    print(f"handshakes of other libraries: {count} cases ended as they should")
    count = 0
    for label, ended in after_the_handshake():
        count += 1
        if not ended:
            wrong.append(f"{label}: the connection goes on")
    print(f"after the handshake: {count} cases ended as they should")
    begin = time.monotonic()
    assert handshake(settings()) == "served", "a usual client is not served afterwards"
    assert time.monotonic() - begin < 10
    if wrong:
        print("but:\n" + "\n".join(wrong))
        sys.exit(1)


main()
