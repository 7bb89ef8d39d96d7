"""Login and logout: a one-time code or the API token is exchanged for a browser session."""

import re
from urllib.parse import parse_qs

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from controller.api.dashboard.templating import bare
from controller.api.http.credentials import SESSION_LIFE
from controller.api.http.responses import dependencies_of
from controller.api.http.routers import page_router
from controller.api.http.security_middleware import session_of
from controller.errors import StateError

router = page_router()

# Each input can match in one way only, so matching takes linear time. The path has no escapes; the query may have them.
_PAGE = re.compile(r"/(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*/?)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?")
_MAX_TARGET = 1000


@router.get("/login")
def page(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Show the login form, whose script submits the code from the URL fragment; `data-logged-in` marks a session."""
    is_logged_in = request.scope.get("caller") is not None
    return bare("login.html", next=_dashboard_page(next), error=None, is_logged_in=is_logged_in)


@router.post("/login")
async def login(request: Request) -> Response:
    """Exchange the code or token for a session cookie; a code can be used once."""
    fields = _fields(await request.body())
    dependencies = dependencies_of(request)
    target = _dashboard_page(fields.get("next", ["/"])[0])
    code = fields.get("code", [""])[0].strip()
    if not await run_in_threadpool(dependencies.credentials.redeem, code):
        error = "The link or token is invalid or has expired. Run `controller login` to get a new link."
        return bare("login.html", 401, next=target, error=error, is_logged_in=False)
    response = RedirectResponse(target, 303)
    response.set_cookie(
        dependencies.cookie,
        dependencies.credentials.new_session(),
        max_age=int(SESSION_LIFE.total_seconds()),
        path="/",
        secure=dependencies.is_secure,
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/logout")
def logout(request: Request) -> Response:
    """End the session and go to the login page, which shows an error if the logout could not be recorded."""
    dependencies = dependencies_of(request)
    session = session_of(request.headers, dependencies.cookie)
    response: Response = RedirectResponse("/login", 303)
    if session is not None:
        try:
            dependencies.credentials.end_session(session)
        except StateError as error:
            message = f"{error.message} {error.hint}"
            response = bare("login.html", 503, next="/", error=message, is_logged_in=False)
    response.delete_cookie(
        dependencies.cookie, path="/", secure=dependencies.is_secure, httponly=True, samesite="strict"
    )
    return response


def _fields(body: bytes) -> dict[str, list[str]]:
    """Parse a URL-encoded form; return an empty mapping for anything else."""
    try:
        return parse_qs(body.decode("ascii", "replace"), max_num_fields=5)
    except ValueError:
        return {}


def _dashboard_page(target: str) -> str:
    """Return the target if it is a page of the dashboard, else the overview page."""
    is_page = (
        len(target) <= _MAX_TARGET and _PAGE.fullmatch(target) and not target.startswith(("/api/", "/login", "/logout"))
    )
    return target if is_page else "/"
