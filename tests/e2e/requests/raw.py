"""raw.py - a server inside the test itself, that does with a connection whatever a test says, by
whatever calls; and the calls that a server or a client may make. One thread a connection.

    with Raw(handler) as server: ...    handler(connection) in a thread of its own
"""
import ctypes
import mmap
import os
import socket
import struct
import tempfile
import threading

from common import check

DEADLINE_S = 30


class Raw:
    def __init__(self, handler, family=socket.AF_INET):
        self.handler, self.family = handler, family
        self.threads, self.failures = [], []

    def __enter__(self):
        address = ("::1" if self.family == socket.AF_INET6 else "127.0.0.1", 0)
        self.listener = socket.create_server(address, family=self.family, backlog=512)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        return self

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self.handle, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def handle(self, connection):
        try:
            with connection:
                self.handler(connection)
        except Exception as e:  # told to the test when it ends
            self.failures.append(e)

    def __exit__(self, kind, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(DEADLINE_S)
        for thread in self.threads:
            thread.join(DEADLINE_S)
        check(kind or not self.failures, f"the server failed: {self.failures}")


def connect(port, family=socket.AF_INET):
    c = socket.socket(family)
    c.settimeout(DEADLINE_S)
    c.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return c


def response(body=b"fine", status="200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def to_end_of(connection, end=b"\r\n\r\n", get=None):
    """Reads up to there; empty at the end of the connection."""
    get, got = get or connection.recv, b""
    while not got.endswith(end):
        data = get(65536)
        if not data:
            break
        got += data
    return got


def serve(connection, answer=None):
    """GETs, one at a time, answered by answer(request)."""
    while request := to_end_of(connection):
        connection.sendall(answer(request) if answer else response())


# --- the calls; all read or write some of the data


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Header(ctypes.Structure):  # struct mmsghdr
    _fields_ = [("name", ctypes.c_void_p), ("name_len", ctypes.c_uint32),
                ("vectors", ctypes.POINTER(Vector)), ("vectors_len", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("control_len", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("pad", ctypes.c_int), ("len", ctypes.c_uint)]


LIBC = ctypes.CDLL(None, use_errno=True)


def read_readv(sock, n):
    first, second = bytearray(10), bytearray(n)
    got = os.readv(sock.fileno(), [first, second])
    return bytes(first + second)[:got]


def read_recvmsg(sock, n):
    return b"".join(sock.recvmsg(n)[:1])


def read_recvmsg_vector(sock, n):
    first, second = bytearray(3), bytearray(n)
    got = sock.recvmsg_into([first, second])[0]
    return bytes(first + second)[:got]


def in_three(data):
    """An empty part first, as Erlang writes, and a cut within the first line."""
    return [b"", data[:5], data[5:]]


def write_writev(sock, data):
    check(os.writev(sock.fileno(), in_three(data)) == len(data), "writev wrote less")


def write_sendmsg(sock, data):
    check(sock.sendmsg(in_three(data)) == len(data), "sendmsg wrote less")


def write_sendfile(sock, data):
    """The first line by send, the rest out of a file."""
    cut = data.index(b"\r\n") + 2
    sock.send(data[:cut], socket.MSG_MORE)
    with tempfile.TemporaryFile() as f:
        f.write(data[cut:])
        f.flush()
        sent = 0
        while sent < len(data) - cut:
            sent += os.sendfile(sock.fileno(), f.fileno(), sent, len(data) - cut - sent)


def write_splice(sock, data):
    """The first line by send, the rest out of a pipe."""
    cut = data.index(b"\r\n") + 2
    sock.send(data[:cut], socket.MSG_MORE)
    r, w = os.pipe()
    try:
        os.write(w, data[cut:])
        os.splice(r, sock.fileno(), len(data) - cut)
    finally:
        os.close(r)
        os.close(w)


READS = {
    "read": lambda s, n: os.read(s.fileno(), n),
    "recv": lambda s, n: s.recv(n),
    "recvfrom": lambda s, n: s.recvfrom(n)[0],
    "recvmsg": read_recvmsg,
    "recvmsg of several parts": read_recvmsg_vector,
    "readv": read_readv,
}
WRITES = {
    "write": lambda s, data: os.write(s.fileno(), data),
    "send": lambda s, data: s.send(data),
    "sendto": lambda s, data: s.sendto(data, 0, s.getpeername()),
    "sendmsg": write_sendmsg,
    "writev": write_writev,
}
FILE_WRITES = {"sendfile": write_sendfile, "splice": write_splice}


# --- io_uring, without a library: one call at a time


class Uring:
    """setup, enter: the numbers are those of every architecture but alpha."""

    SEND, RECV = 26, 27

    def __init__(self):
        params = bytearray(120)
        held = (ctypes.c_char * 120).from_buffer(params)
        self.fd = LIBC.syscall(425, 8, held)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        entries, self.cq_entries = struct.unpack_from("II", params, 0)
        sq, cq = struct.unpack_from("8I", params, 40), struct.unpack_from("8I", params, 80)
        self.sq_tail, self.sq_mask, self.sq_array = sq[1], sq[2], sq[6]
        self.cq_head, self.cq_mask, self.cqes = cq[0], cq[2], cq[5]
        self.sq = mmap.mmap(self.fd, self.sq_array + 4 * entries, offset=0)
        self.cq = mmap.mmap(self.fd, self.cqes + 16 * self.cq_entries, offset=0x8000000)
        self.entries = mmap.mmap(self.fd, 64 * entries, offset=0x10000000)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for ring in (self.sq, self.cq, self.entries):
            ring.close()
        os.close(self.fd)

    def call(self, operation, sock, buffer, size):
        """Submits one, waits for it; its result."""
        tail, = struct.unpack_from("I", self.sq, self.sq_tail)
        mask, = struct.unpack_from("I", self.sq, self.sq_mask)
        slot = tail & mask
        struct.pack_into("BBHiQQIIQQQQ", self.entries, 64 * slot, operation, 0, 0, sock.fileno(), 0,
                         ctypes.addressof(buffer), size, 0, 1, 0, 0, 0)
        struct.pack_into("I", self.sq, self.sq_array + 4 * slot, slot)
        struct.pack_into("I", self.sq, self.sq_tail, tail + 1)
        if LIBC.syscall(426, self.fd, 1, 1, 1, None, 0) < 0:
            raise OSError(ctypes.get_errno(), "io_uring_enter")
        head, = struct.unpack_from("I", self.cq, self.cq_head)
        mask, = struct.unpack_from("I", self.cq, self.cq_mask)
        result, = struct.unpack_from("i", self.cq, self.cqes + 16 * (head & mask) + 8)
        struct.pack_into("I", self.cq, self.cq_head, head + 1)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def recv(self, sock, n=65536):
        buffer = ctypes.create_string_buffer(n)
        got = self.call(self.RECV, sock, buffer, n)
        return buffer.raw[:got]

    def send(self, sock, data):
        buffer = ctypes.create_string_buffer(data, len(data))
        return self.call(self.SEND, sock, buffer, len(data))
