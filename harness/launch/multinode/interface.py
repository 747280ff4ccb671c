"""Which of a machine's network interfaces leads to another machine."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from pathlib import Path

_ADDRESS_OF = 0x8915
"""SIOCGIFADDR of Linux."""
_NAME = 16
"""Bytes of an interface's name, in what that asks with."""
_INET6 = Path("/proc/net/if_inet6")
ANY = 9
"""A port: nothing is sent to it."""


def towards(host: str) -> str | None:
    """Its name; None where that cannot be told, as where the other's name is not known here."""
    with contextlib.suppress(OSError):
        for family, kind, _, _, address in socket.getaddrinfo(host, ANY, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, kind) as probe:
                probe.connect(address)  # which packets would take this way is looked up, and none is sent
                return _with(family, probe.getsockname()[0])
    return None


def _with(family: int, address: str) -> str | None:
    """The interface that has an address."""
    if family == socket.AF_INET6:
        whole = socket.inet_pton(family, address.partition("%")[0]).hex()
        lines = (line.split() for line in _INET6.read_text(encoding="ascii").splitlines())
        return next((line[-1] for line in lines if line[0] == whole), None)
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        return next((name for _, name in socket.if_nameindex() if _address(probe, name) == address), None)


def _address(probe: socket.socket, interface: str) -> str | None:
    with contextlib.suppress(OSError):  # it has none
        asked = struct.pack("256s", interface.encode()[: _NAME - 1])
        told = fcntl.ioctl(probe.fileno(), _ADDRESS_OF, asked)
        return socket.inet_ntoa(told[_NAME + 4 : _NAME + 8])
    return None
