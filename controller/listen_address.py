"""The addresses at which the controller serves HTTP, and the options for them."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from controller.errors import UsageError

_PUBLIC_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """The address at which HTTP is served, and how.

    `is_explicit` is set if the operator chose this address: the controller then fails if it can't use it, instead of
    running without it. `public_hosts` are further host names that browsers may use. `is_behind_proxy` is set if a proxy
    in front terminates TLS. `option` is the option that sets the address.
    """

    host: str = "127.0.0.1"
    port: int = 4200
    is_explicit: bool = False
    certificate: Path | None = None
    key: Path | None = None
    is_behind_proxy: bool = False
    public_hosts: tuple[str, ...] = ()
    option: str = "--listen"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """The URL of the address, as it is configured."""
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_listen(
    address: str | None,
    *,
    certificate: str | None = None,
    key: str | None = None,
    is_behind_proxy: bool = False,
    public_hosts: tuple[str, ...] = (),
    option: str = "--listen",
) -> Listen | None:
    """Parse `--listen`, or another option for an address, and the options that belong to it. Raises UsageError.

    `address` is `HOST:PORT`, `none` for no HTTP server, or None for the default. Addresses that other machines can
    reach need TLS, either our own or that of a proxy in front.
    """
    if address == "none":
        return None
    if (certificate is None) != (key is None):
        raise UsageError("--tls-certificate and --tls-key must be used together.")
    host, _, port = (address or "127.0.0.1:4200").rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    if not _is_address(host) or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{option} {address}: expected HOST:PORT with an IP address, or none.")
    if any(not _PUBLIC_HOST.fullmatch(name) for name in public_hosts):
        raise UsageError("--public-host: expected a host name as in a browser's address bar, without scheme and path.")
    listen = Listen(
        host=host,
        port=int(port),
        is_explicit=bool(address),
        certificate=None if certificate is None else Path(certificate).absolute(),
        key=None if key is None else Path(key).absolute(),
        is_behind_proxy=is_behind_proxy,
        public_hosts=public_hosts,
        option=option,
    )
    for file in (listen.certificate, listen.key):
        if file is not None and not file.is_file():
            raise UsageError(f"{file}: there is no such file.")
    if not listen.is_loopback and listen.certificate is None and not is_behind_proxy:
        raise UsageError(
            f"{option} {address}: traffic to this address would not be encrypted.",
            hint="Add --tls-certificate and --tls-key, or --behind-proxy if a proxy in front terminates TLS.",
        )
    return listen


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
