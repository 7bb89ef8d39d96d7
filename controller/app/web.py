"""The HTTP API and the dashboard as one component of the controller.

`controller.app.controller` creates, starts and closes it. It passes the routes exactly what they need, and imports the
web framework with the first connection.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from controller.api.http.forwarder import Forwarder
from controller.api.metrics.parts import RunningParts
from controller.errors import SourceError, UsageError
from controller.listen_settings import advertised_url
from controller.model.policies import EnvSecret, FileSecret, Secret
from controller.model.runs import Run
from controller.operations.context import OperationContext
from controller.queries.leadership import Standing
from controller.remotes import RemoteUrl, guess_web_url_template
from controller.settings import Settings, secret_variables
from controller.sources.open_source import open_commit, open_source
from controller.sources.source import Change, Source
from controller.store.commit_counter import CommitCounter, CommitListener
from controller.store.state_directory import StateDirectory
from controller.triggers.webhooks import Webhooks

if TYPE_CHECKING:
    from controller.api.http.credentials import Credentials
    from controller.api.http.server import HttpServer
    from controller.api.metrics.exposition import Exposition
    from controller.app.cluster import ClusterExecution
    from controller.queries.deployment_cache import DeploymentCache
    from controller.queries.run_diff import FileChanges
    from controller.reconcile.preview import Preview


class Web:
    """Serves the API and the dashboard on the Unix socket, and on `settings.listen` if that is an address.

    `standing` returns the role of a controller that shares its state. A standby has a `forwarder` and no `parts`.
    """

    def __init__(
        self,
        settings: Settings,
        state: StateDirectory,
        source: Source,
        operations: OperationContext,
        standing: Callable[[], Standing | None],
        parts: RunningParts | None = None,
        forwarder: Forwarder | None = None,
        cluster: "ClusterExecution | None" = None,
    ) -> None:
        self._settings = settings
        self._store = operations.store
        self._state = state
        self._source = source
        self._clock = operations.clock
        self._operations = operations
        self._webhooks = Webhooks(operations, _place(settings.triggers.git_hook_secret), secret_variables())
        self._standing = standing
        self._forwarder = forwarder
        self._parts = parts and replace(parts, webhook_requests=lambda: self._webhooks.guard.counts)
        self._cluster = cluster
        self._server: HttpServer | None = None
        self._node_server: HttpServer | None = None
        self._counters: list[CommitCounter | CommitListener] = []

    def start(self) -> None:
        """Bind and serve. Raises UsageError if an explicit address cannot be bound."""
        from controller.api.http.credentials import Credentials
        from controller.api.http.server import HttpServer

        credentials = Credentials(self._state.path, self._clock)
        self._server = HttpServer(
            self._state.socket,
            self._settings.listen,
            credentials,
            lambda server: self._application(server, credentials),
        )
        if self._has_nodes:
            self._server.further_hosts = self._settings.executors.node_hosts(self._settings.listen)
        self._server.start()
        self._state.publish_url(self._server.url if self._server.is_bound else None)
        self._start_for_nodes(credentials)

    def _start_for_nodes(self, credentials: "Credentials") -> None:
        """Serve the node API at an address of its own, if there is one."""
        settings = self._settings.executors
        listen, node_api = settings.node_listen, self._forwarder if self._cluster is None else self._cluster.desk
        if listen is None or node_api is None or not settings.has_cluster:
            return
        from controller.api.http.application import make_node_application
        from controller.api.http.server import HttpServer

        def build(server: HttpServer) -> Any:
            return make_node_application(node_api, server.hosts, credentials, self._clock)

        self._node_server = HttpServer(None, listen, credentials, build)
        self._node_server.further_hosts = settings.node_hosts(listen)
        self._node_server.start()

    @property
    def _has_nodes(self) -> bool:
        """Whether nodes send their requests to the address of the API."""
        return self._settings.executors.has_cluster and self._settings.executors.node_listen is None

    def close(self) -> None:
        """Stop serving."""
        for server in (self._node_server, self._server):
            if server is not None:
                server.close()
        self._node_server = self._server = None
        for counter in self._counters:
            counter.close()
        self._counters = []

    def login_link(self) -> str:
        """Return a link that opens one session, once. Raises UsageError if the dashboard is not served."""
        if self._server is None:
            raise UsageError("The HTTP server is not running.", hint="The controller is starting or stopping.")
        return self._server.login_link()

    @property
    def url(self) -> str | None:
        """The URL for browsers; None if there is none."""
        return None if self._server is None else self._server.url

    @property
    def advertised_url(self) -> str | None:
        """The URL at which other controllers reach this one; None if it serves no address."""
        server, listen = self._server, self._settings.listen
        return None if server is None or listen is None or not server.is_bound else advertised_url(listen, server.port)

    def plan(self, ref: str | None) -> "Preview":
        """Plan a ref against what is applied; None means the followed ref. Python specs are not executed."""
        from controller.reconcile.state_comparison import plan_against_state

        location = self._settings.location
        return plan_against_state(self._store, self._source_at(ref), location.environment, self._clock.now())

    def _source_at(self, ref: str | None) -> Source:
        """Return a new source: the controller's own one belongs to its threads."""
        location = self._settings.location
        if ref is not None and not self._source.is_pinned:
            raise UsageError("The source is a directory and has no refs.", hint="Omit `ref`.")
        if ref is None and isinstance(location.repo, RemoteUrl):
            ref = self._observed_commit()
        if ref is None:
            return open_source(location, working_tree=self._settings.working_tree)
        return open_commit(location, ref)

    def _guess_web_url(self) -> str | None:
        """Return the template of the web pages of commits, if the remote of the repository is on a known service."""
        from controller.sources.git import origin_url

        repo = self._settings.location.repo
        remote = repo.text if isinstance(repo, RemoteUrl) else origin_url(repo) if self._source.is_pinned else None
        return None if remote is None else guess_web_url_template(remote)

    def _observed_commit(self) -> str:
        """Return the last observed commit of a remote repository. Raises SourceError."""
        from controller.store import source_status

        with self._store.read() as tx:
            status = source_status.find(tx)
        if status is None or status.revision is None:
            raise SourceError("The source has not been read yet.")
        return status.revision.rpartition(":")[2]

    def _code_changes(self, run: Run, other: Run) -> "FileChanges":
        """Return the files that differ between the commits of two runs, those of `run` first."""
        from controller.app.own_files import own_files
        from controller.queries.run_diff import code_changes

        def find_own(changed: Mapping[str, Change]) -> set[str]:
            now = self._clock.now()
            return own_files(self._settings.location, self._store, run, other.revision, changed, now)

        return code_changes(self._source, run.revision, other.revision, find_own if self._source.is_pinned else None)

    def _listener(self) -> CommitListener:
        return CommitListener(self._state.database, lambda: self._store.announced)

    def _metrics(self, deployments: "DeploymentCache") -> Callable[[str], tuple[bytes, str]]:
        """Return a function that renders the metrics. The first call imports prometheus_client."""

        @functools.cache
        def exposition() -> "Exposition":
            from controller.api.metrics.exposition import Exposition

            return Exposition(self._parts, self._store, self._state, deployments, self._clock, self._standing)

        return lambda accept: exposition().render(accept)

    def _application(self, server: "HttpServer", credentials: Any) -> Any:
        from controller.api.http.application import make_application
        from controller.api.http.event_feed import EventFeed
        from controller.api.http.responses import Dependencies
        from controller.api.http.sse import Streams
        from controller.queries.deployment_cache import DeploymentCache
        from controller.queries.field_locations import FieldLocations
        from controller.queries.restore import last_document
        from controller.queries.run_diff import CommitRanges
        from controller.runs.log_search import LogSearcher

        streams = Streams()
        built = self._operations.admission.deployments.build
        counter, listener = CommitCounter(self._state.database), self._listener()
        self._counters = [counter, listener]
        deployment_cache = DeploymentCache(self._store, counter, self._clock, built)
        server.on_close = streams.closing.set
        dependencies = Dependencies(
            store=self._store,
            state=self._state,
            location=self._settings.location,
            settings=self._settings,
            clock=self._clock,
            operations=self._operations,
            webhooks=self._webhooks,
            credentials=credentials,
            feed=EventFeed(self._store, listener, streams),
            streams=streams,
            fields=FieldLocations(self._source, self._settings.location.environment, self._clock),
            plan=self.plan,
            code_changes=self._code_changes,
            commits_between=CommitRanges(self._source).between,
            document=lambda entry: last_document(entry, self._source),
            metrics=self._metrics(deployment_cache),
            login_link=self.login_link,
            url=lambda: self.url,
            web_url_template=self._settings.web_url_template or self._guess_web_url(),
            cookie=server.cookie,
            is_secure=server.is_secure,
            log_searcher=LogSearcher(self._clock),
            standing=self._standing,
        )
        url = self.advertised_url
        hosts = server.hosts if url is None else server.hosts | {urlsplit(url).netloc}
        desk = None if self._cluster is None else self._cluster.desk
        return make_application(dependencies, deployment_cache, hosts, desk, self._forwarder, has_nodes=self._has_nodes)


def _place(text: str | None) -> Secret | None:
    """Return the place of a secret for `env:NAME` or `file:PATH`."""
    if text is None:
        return None
    kind, _, name = text.partition(":")
    return EnvSecret(env=name) if kind == "env" else FileSecret(file=name)
