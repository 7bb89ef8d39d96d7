"""Reads objects of a repository by their ids (SHA-1 or SHA-256), many with one process."""

from collections.abc import Iterable, Iterator, Mapping

from controller.sources.git.commands import GitError, OpenRepository

_CHUNK_BYTES = 16 << 20
_CHUNK_OBJECTS = 2000


def sizes(repo: OpenRepository, object_ids: Iterable[str]) -> dict[str, int]:
    """Return the size of each object in bytes. Raises GitError if one is missing."""
    unique = list(dict.fromkeys(object_ids))
    if not unique:
        return {}
    size_of = {}
    for line in repo.run("cat-file", "--batch-check", "--buffer", stdin=_lines(unique)).splitlines():
        object_id, _, size = _header(line)
        size_of[object_id] = size
    return size_of


def contents(repo: OpenRepository, object_ids: Iterable[str]) -> dict[str, bytes]:
    """Return the content of each object. Together they must fit into memory. Raises GitError if one is missing."""
    unique = list(dict.fromkeys(object_ids))
    if not unique:
        return {}
    output = repo.run("cat-file", "--batch", "--buffer", stdin=_lines(unique))
    content_of: dict[str, bytes] = {}
    position = 0
    for _ in unique:
        end = output.index(b"\n", position)
        object_id, kind, size = _header(output[position:end])
        content_of[object_id] = output[end + 1 : end + 1 + size]
        position = end + 2 + size
        if kind == "tree":
            repo.work.trees += 1
        else:
            repo.work.blobs += 1
    return content_of


def in_chunks(size_of: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the objects in groups of at most 16 MiB and 2000 objects; a larger object is a group of its own."""
    chunk: list[str] = []
    total = 0
    for object_id, size in size_of.items():
        if chunk and (total + size > _CHUNK_BYTES or len(chunk) == _CHUNK_OBJECTS):
            yield chunk
            chunk, total = [], 0
        chunk.append(object_id)
        total += size
    if chunk:
        yield chunk


def _lines(object_ids: Iterable[str]) -> bytes:
    return "".join(f"{object_id}\n" for object_id in object_ids).encode("ascii")


def _header(line: bytes) -> tuple[str, str, int]:
    parts = line.decode("ascii", "replace").split(" ")
    if len(parts) != 3:
        raise GitError(1, f"the object {parts[0]} is missing")
    return parts[0], parts[1], int(parts[2])
