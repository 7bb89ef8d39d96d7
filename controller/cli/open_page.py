"""Prints the URL of a page of the dashboard, and opens it in a browser if the machine has a graphical one."""

from urllib.parse import quote

import click

from controller.errors import UsageError
from controller.settings import Location

_TEXT_BROWSERS = frozenset({"www-browser", "links", "elinks", "lynx", "w3m"})


def open_page(location: Location, path: str) -> None:
    """Print the URL of the page at `path`, such as `/runs/…`, and open it, logged in. Raises ControllerError."""
    from controller.cli.state_access import connected_client
    from controller.store.state_directory import StateDirectory

    url = StateDirectory.at(location).dashboard_url()
    with connected_client(location) as client:
        link = client.login_link()
    if url is None:
        raise UsageError("The URL of the dashboard is unknown.", hint="`controller login` prints a link to it.")
    click.echo(f"{url}{path}")
    start, _, code = link.partition("#")
    if not _open(f"{start}?next={quote(path, safe='')}#{code}"):
        click.echo("This machine has no graphical browser. `controller login` prints a link to log in with.", err=True)


def _open(url: str) -> bool:
    """Open a URL in a graphical browser, and return whether there is one."""
    import webbrowser

    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    return getattr(browser, "name", "") not in _TEXT_BROWSERS and browser.open(url)
