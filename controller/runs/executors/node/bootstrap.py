"""The program that a job starts with: it fetches the runner's package into the node's cache and runs it.

`job_argv` returns the command line for every engine. It contains the program itself, so that a node needs nothing but
Python, and an engine neither a working directory nor a store of packages.
"""

import inspect


def run() -> None:
    """Fetch the package unless the node has it, and become the runner. `job_argv` sends the text of this function."""
    import os
    import sys
    import time

    url, digest, ticket = (os.environ[f"CONTROLLER_{name}"] for name in ("NODE_URL", "RUNNER", "TICKET"))
    cache = os.environ.get("CONTROLLER_NODE_CACHE") or os.path.join(
        os.environ.get("TMPDIR", "/tmp"), f"controller-node-{os.getuid()}"
    )
    folder, instance, deadline, pause = f"{cache}/runner/{digest}", os.urandom(16).hex(), time.monotonic() + 600, 0.5
    os.makedirs(cache, 0o700, exist_ok=True)
    found = os.lstat(cache)
    if sys.version_info < (3, 10) or found.st_uid != os.getuid() or found.st_mode & 0o170077 != 0o040000:
        sys.exit(f"controller needs Python 3.10, and {cache} must be a directory of this user with mode 0700")
    while not os.path.isdir(folder):
        import hashlib
        import http.client
        import io
        import tempfile
        import urllib.request
        import zipfile

        headers = {"Authorization": f"Bearer {ticket}", "X-Instance": instance}
        question = urllib.request.Request(f"{url}/node/v1/packages/{digest}", headers=headers)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(question, timeout=30) as answer:
                package = answer.read()
            if hashlib.sha256(package).hexdigest() != digest:
                raise OSError("the package is incomplete")
            os.makedirs(f"{cache}/runner", 0o700, exist_ok=True)
            new = tempfile.mkdtemp(prefix="new-", dir=f"{cache}/runner")
            zipfile.ZipFile(io.BytesIO(package)).extractall(new)
            os.sync()
            os.rename(new, folder)
        except (OSError, http.client.HTTPException) as error:
            is_final = 400 <= getattr(error, "code", 503) < 429 or "CERTIFICATE_VERIFY_FAILED" in str(error)
            if is_final or time.monotonic() > deadline:
                sys.exit(f"controller: the runner can't be fetched from {url}: {error}")
            time.sleep(pause)
            pause = min(2 * pause, 30)
    sys.path.insert(0, folder)
    from controller.runs.executors.node.runner import main

    sys.exit(main(cache, folder, instance))


def job_argv() -> tuple[str, ...]:
    """Return the command line of every job, for `python3` of the node.

    -I and -S keep variables and packages of the node away. UTF-8 mode: names in a repository are UTF-8.
    """
    return ("python3", "-I", "-S", "-X", "utf8", "-c", f"{inspect.getsource(run)}\nrun()\n")
