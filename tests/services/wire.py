"""Just enough of MongoDB's wire protocol to set up a replica set: one command, one answer (OP_MSG and BSON)."""

import socket
import struct

OP_MSG = 2013


def command(port, database, document, timeout=2.0):
    """Sends a command to the server on 127.0.0.1 and returns its answer as a dict."""
    body = b"\0\0\0\0\0" + encode({**document, "$db": database})
    message = struct.pack("<iiii", 16 + len(body), 1, 0, OP_MSG) + body
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as server:
        server.settimeout(timeout)
        server.sendall(message)
        (length,) = struct.unpack("<i", read(server, 4))
        # After the length: the rest of the header, the flags, and the kind of the one section.
        return decode(read(server, length - 4)[17:])[0]


def read(server, length):
    data = b""
    while len(data) < length:
        part = server.recv(length - len(data))
        if not part:
            raise ConnectionError("mongod closed the connection")
        data += part
    return data


def encode(document):
    """A dict of strings, whole numbers, lists and dicts as BSON."""
    elements = b"".join(element(name, value) for name, value in document.items())
    return struct.pack("<i", len(elements) + 5) + elements + b"\0"


def element(name, value):
    key = name.encode() + b"\0"
    if isinstance(value, bool):
        return b"\x08" + key + bytes([value])
    if isinstance(value, int):
        return b"\x10" + key + struct.pack("<i", value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02" + key + struct.pack("<i", len(text)) + text
    if isinstance(value, list):
        return b"\x04" + key + encode({str(i): item for i, item in enumerate(value)})
    if isinstance(value, dict):
        return b"\x03" + key + encode(value)
    raise TypeError(f"{name}: no BSON for {type(value).__name__}")


FIXED = {0x01: "<d", 0x10: "<i", 0x11: "<Q", 0x12: "<q"}


def decode(data):
    """The dict at the head of `data`, and how long it was. Types that set-up does not need come out as raw bytes."""
    (length,) = struct.unpack_from("<i", data)
    document, at = {}, 4
    while data[at] != 0:
        kind = data[at]
        end = data.index(b"\0", at + 1)
        name, at = data[at + 1 : end].decode(), end + 1
        if kind in FIXED:
            (document[name],) = struct.unpack_from(FIXED[kind], data, at)
            at += struct.calcsize(FIXED[kind])
        elif kind == 0x02:
            (size,) = struct.unpack_from("<i", data, at)
            document[name] = data[at + 4 : at + 3 + size].decode()
            at += 4 + size
        elif kind in (0x03, 0x04):
            document[name], size = decode(data[at:])
            at += size
        elif kind == 0x05:
            (size,) = struct.unpack_from("<i", data, at)
            document[name] = data[at + 5 : at + 5 + size]
            at += 5 + size
        elif kind == 0x07:
            document[name] = data[at : at + 12]
            at += 12
        elif kind == 0x08:
            document[name] = bool(data[at])
            at += 1
        elif kind == 0x09:
            document[name] = data[at : at + 8]
            at += 8
        elif kind == 0x0A:
            document[name] = None
        else:
            raise ValueError(f"{name}: BSON type {kind:#x} is not known here")
    return document, length
