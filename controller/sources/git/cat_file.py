"""Objects of a repository by their ids, many with one process. Both kinds of ids (SHA-1, SHA-256) will do."""

from collections.abc import Iterable, Iterator, Mapping

from controller.sources.git.commands import GitError, OpenRepository

_CHUNK_BYTES = 16 << 20
_CHUNK_OBJECTS = 2000


def sizes(look: OpenRepository, object_ids: Iterable[str]) -> dict[str, int]:
    """How many bytes each of them has. Raises GitError if one is missing."""
    wanted = list(dict.fromkeys(object_ids))
    if not wanted:
        return {}
    found = {}
    for line in look.run("cat-file", "--batch-check", "--buffer", stdin=_lines(wanted)).splitlines():
        object_id, _, size = _header(line)
        found[object_id] = size
    return found


def contents(look: OpenRepository, object_ids: Iterable[str]) -> dict[str, bytes]:
    """Their bytes; they must be few enough to be held in memory. Raises GitError if one is missing."""
    wanted = list(dict.fromkeys(object_ids))
    if not wanted:
        return {}
    output = look.run("cat-file", "--batch", "--buffer", stdin=_lines(wanted))
    found: dict[str, bytes] = {}
    at = 0
    for _ in wanted:
        end = output.index(b"\n", at)
        object_id, kind, size = _header(output[at:end])
        found[object_id] = output[end + 1 : end + 1 + size]
        at = end + 2 + size
        if kind == "tree":
            look.work.trees += 1
        else:
            look.work.blobs += 1
    return found


def in_chunks(size_of: Mapping[str, int]) -> Iterator[list[str]]:
    """These objects in groups that can be held in memory; one that is larger than that comes alone."""
    chunk: list[str] = []
    size = 0
    for object_id, own in size_of.items():
        if chunk and (size + own > _CHUNK_BYTES or len(chunk) == _CHUNK_OBJECTS):
            yield chunk
            chunk, size = [], 0
        chunk.append(object_id)
        size += own
    if chunk:
        yield chunk


def _lines(object_ids: Iterable[str]) -> bytes:
    return "".join(f"{object_id}\n" for object_id in object_ids).encode("ascii")


def _header(line: bytes) -> tuple[str, str, int]:
    parts = line.decode("ascii", "replace").split(" ")
    if len(parts) != 3:
        raise GitError(1, f"the object {parts[0]} is missing")
    return parts[0], parts[1], int(parts[2])
