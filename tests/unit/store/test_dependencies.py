"""The table of dependencies: which deployments wait for which."""

from controller.store import Store, dependencies


def test_dependencies_are_replaced_as_a_whole(store: Store) -> None:
    with store.write() as tx:
        dependencies.replace_all(tx, {"report": ["ingest", "audit"], "mail": ["report"], "ingest": []})
    with store.read() as tx:
        assert dependencies.find_all(tx) == {"mail": ["report"], "report": ["audit", "ingest"]}
        assert dependencies.upstreams_of(tx, "report") == ["audit", "ingest"]
        assert dependencies.dependants_of(tx, "report") == ["mail"]
    with store.write() as tx:
        dependencies.replace_all(tx, {"report": ["ingest"], "export": ["ingest"]})
    with store.read() as tx:
        assert dependencies.find_all(tx) == {"export": ["ingest"], "report": ["ingest"]}
        assert dependencies.dependants_of(tx, "ingest") == ["export", "report"]
        assert dependencies.upstreams_of(tx, "mail") == []
