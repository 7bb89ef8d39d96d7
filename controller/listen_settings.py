"""Where a controller serves HTTP: the settings of `--listen` and `--node-listen`, and of what belongs to them."""

import ipaddress
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

from controller.errors import UsageError
from controller.records import dataclass

_PUBLIC_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """The address at which HTTP is served, and how.

    `is_explicit` is set if the operator chose this address: the controller then fails if it can't use it, instead of
    running without it. `public_hosts` are further host names that browsers may use. `is_behind_proxy` is set if a proxy
    in front terminates TLS. `advertise` is the URL at which other controllers of the same state reach it, None if that
    follows from the address. `option` is the option that sets the address.
    """

    host: str = "127.0.0.1"
    port: int = 4200
    is_explicit: bool = False
    certificate: Path | None = None
    key: Path | None = None
    is_behind_proxy: bool = False
    public_hosts: tuple[str, ...] = ()
    advertise: str | None = None
    option: str = "--listen"

    @property
    def url(self) -> str:
        """The URL of the address, as it is configured."""
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{_authority(self.host, self.port)}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return ipaddress.ip_address(self.host).is_loopback


def parse_listen(
    address: str | None,
    *,
    certificate: str | None = None,
    key: str | None = None,
    is_behind_proxy: bool = False,
    public_hosts: tuple[str, ...] = (),
    advertise: str | None = None,
    option: str = "--listen",
) -> Listen | None:
    """Parse `--listen`, or another option for an address, and the options that belong to it. Raises UsageError.

    `address` is `HOST:PORT`, `none` for no HTTP server, or None for the default. Addresses that other machines can
    reach need TLS, either our own or that of a proxy in front.
    """
    if advertise and address == "none":
        raise UsageError("--advertise needs an address.", hint="Add --listen HOST:PORT.")
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
        advertise=_parse_advertise(advertise) if advertise else None,
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


def _parse_advertise(text: str) -> str:
    """Return the URL of `--advertise` without a slash at its end."""
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid, parts = False, urlsplit("")
    if not is_valid or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(
            "--advertise: expected the URL of this controller, without a path.", hint="Use https://HOST:PORT."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def advertised_url(listen: Listen, port: int) -> str:
    """Return the URL at which other controllers reach an address that is bound to this port.

    Without `--advertise`, it has the first public host name, else the address, else the name of the machine if the
    address stands for all interfaces. An address of the loopback interface is only useful on the same machine.
    """
    if listen.advertise is not None:
        return listen.advertise
    if listen.is_behind_proxy and listen.public_hosts:
        return f"https://{listen.public_hosts[0].lower()}"
    is_wildcard = ipaddress.ip_address(listen.host).is_unspecified
    host = listen.public_hosts[0] if listen.public_hosts else socket.gethostname() if is_wildcard else listen.host
    scheme = "http" if listen.certificate is None else "https"
    return f"{scheme}://{_authority(host.lower(), port)}"


def is_loopback_url(url: str) -> bool:
    """Return whether only the machine itself can use a URL."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if _is_address(host) and ":" in host else host if ":" in host else f"{host}:{port}"
