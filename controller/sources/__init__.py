"""What does the repository say, and at which revision? `Source -> Snapshot(revision, files)`.

    source = GitSource(repo, ref=None, path="deployments", exports=state_dir / "exports")
    revision = source.observe()        # cheap: has anything moved?
    snapshot = source.read(revision)   # all manifests of exactly that revision
    code = source.code(revision)       # the files of its flows: find(paths), read(path)
    root = source.checkout(revision)   # the code that its runs execute

`reconcile` drives it, `assembly` chooses which one: a repository on disk or behind a URL (`git`), or a directory.
Errors of the outside arrive as `SourceError`, each kind with a reason of its own.
"""
