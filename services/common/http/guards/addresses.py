"""Connections to public addresses only, to the very address that was checked."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import httpcore

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host name, for a port."""

_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_TUNNELS: Final = (ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("2002::/16"))
"""Teredo and 6to4, which lead to an IPv4 address that is anybody's choice."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""What a cluster without IPv4 has for the addresses of others."""


class AddressError(Exception):
    """A host has no address, or one that is not public."""


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet: not this machine, its networks, or a tunnel to them."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address not in _UNICAST or any(address in tunnel for tunnel in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver gives."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class PublicBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, refuses it if any of its addresses is not public, and connects to what was checked."""

    def __init__(self, resolve: Resolve, network: httpcore.AsyncNetworkBackend) -> None:
        self._resolve = resolve
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address.

        Raises:
            AddressError: the name has no address, or one that is not public.
        """
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            message = f"the name {host} has no address"
            raise AddressError(message) from error
        if not addresses or not all(map(is_public, addresses)):
            message = f"the host {host} is not on the public internet"
            raise AddressError(message)
        return await self._network.connect_tcp(addresses[0], port, timeout, local_address, socket_options)
