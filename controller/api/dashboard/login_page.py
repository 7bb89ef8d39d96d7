"""In and out: a one-time code or the token becomes a session of a browser. And the static files: they hold no data."""

import re
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from controller.api.dashboard.templating import assets, bare
from controller.api.http.credentials import SESSION_LIFE
from controller.api.http.problem_details import problem
from controller.api.http.responses import dependencies_of, tagged
from controller.api.http.security_middleware import session_of

router = APIRouter()

# A text matches in one way only, so that none takes long. A path has no escapes; what a query says is escaped.
_PAGE = re.compile(r"/(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*/?)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?")
_LONGEST = 1000


@router.get("/login")
def page(request: Request, next: str = "/") -> Response:  # noqa: A002
    """The page that takes the code out of its address, or asks for the token; it says whether a session is known."""
    is_known = request.scope.get("caller") is not None
    return bare("login.html", next=_inside(next), error=None, is_known=is_known)


@router.post("/login")
async def login(request: Request) -> Response:
    """Open a session; the code is used up by that."""
    given = _fields(await request.body())
    parts = dependencies_of(request)
    target = _inside(given.get("next", ["/"])[0])
    code = given.get("code", [""])[0].strip()
    if not await run_in_threadpool(parts.credentials.redeem, code):
        error = "This link or token is not valid any more. `controller login` prints a new link."
        return bare("login.html", 401, next=target, error=error, is_known=False)
    answer = RedirectResponse(target, 303)
    answer.set_cookie(
        parts.cookie,
        parts.credentials.new_session(),
        max_age=int(SESSION_LIFE.total_seconds()),
        path="/",
        secure=parts.is_secure,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/logout")
def logout(request: Request) -> Response:
    """End this session."""
    parts = dependencies_of(request)
    session = session_of(request.headers, parts.cookie)
    if session is not None:
        parts.credentials.end_session(session)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(parts.cookie, path="/", secure=parts.is_secure, httponly=True, samesite="strict")
    return answer


@router.get("/static/{name}")
def static(request: Request, name: str) -> Response:
    """One of the files that came with this version."""
    found = assets().get(name)
    if found is None:
        return problem(404, "NotFound", "There is no such file.")
    return tagged(request, *found)


def _fields(body: bytes) -> dict[str, list[str]]:
    """What a form says; nothing, if it is not ours."""
    try:
        return parse_qs(body.decode("ascii", "replace"), max_num_fields=5)
    except ValueError:
        return {}


def _inside(target: str) -> str:
    """A page of ours, or the first one."""
    is_ours = (
        len(target) <= _LONGEST and _PAGE.fullmatch(target) and not target.startswith(("/api/", "/login", "/logout"))
    )
    return target if is_ours else "/"
