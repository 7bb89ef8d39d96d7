"""Reads manifests and code from a git repository, on disk or behind a URL, or from a directory.

    source = open_source(location)     # a repository or a directory
    revision = source.observe()        # the current revision; cheap if nothing has changed
    snapshot = source.read(revision)   # all manifests of exactly this revision
    code = source.code(revision)       # the files of its flows: find(paths), read(path)
    root = source.checkout(revision)   # the code that its runs execute

`reconcile` reads it. Everything that can fail outside of the process is raised as `SourceError`; each subclass has a
reason of its own.
"""
