"""A guard against requests to our own network (SSRF): a name is resolved, judged, and pinned.

An address that a webhook's owner may choose must not reach the database, a cloud's
metadata service or a neighbour. The name is resolved once a request, every address that it
has is judged, and the connection goes to the very address that was judged: a name that
changes its answer in between gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Forbidden(Exception):
    """The address is not one that we may call."""


def is_public(address: str) -> bool:
    """Tell whether an IP address lies on the public internet, whatever form it is wrapped in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast


class GuardedTransport(httpx.AsyncBaseTransport):
    """An HTTP transport that connects only to addresses that it has judged.

    allow_private : let everything through (a helpdesk in the same building; tests)
    verify        : how certificates are checked; they are checked against the name, not the address
    """

    def __init__(self, *, allow_private: bool, verify: ssl.SSLContext) -> None:
        self._allow_private = allow_private
        self._verify = verify
        # one a name: two names at one address must not share a TLS connection
        self._inner: dict[str, httpx.AsyncHTTPTransport] = {}
        # threads of its own: a resolver that hangs must not use up those that the store needs
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="resolve")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address = await self._judge(host, request.url.port or (443 if request.url.scheme == "https" else 80))
        if host not in self._inner:
            self._inner[host] = httpx.AsyncHTTPTransport(verify=self._verify, retries=0)
        # the header Host was made of the name already, and stays
        request.url = request.url.copy_with(host=address)
        request.extensions = {**request.extensions, "sni_hostname": host}
        return await self._inner[host].handle_async_request(request)

    async def aclose(self) -> None:
        for transport in self._inner.values():
            await transport.aclose()
        self._inner.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _judge(self, host: str, port: int) -> str:
        """The address to connect to. Raises Forbidden, or httpx.ConnectError where there is none."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            )
        except OSError as error:
            raise httpx.ConnectError(f"{host} has no address: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._allow_private:
            for address in addresses:
                if not is_public(address):
                    raise Forbidden(
                        f"{host} is at {address}, which is not on the public internet; "
                        "allow_private lets it through"
                    )
        return addresses[0]
