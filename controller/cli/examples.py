"""Two examples for the `--help` of each command. A test parses them all."""

EXAMPLES: dict[str, tuple[str, str]] = {
    "status": ("controller status", "controller status --watch"),
    "deployments list": (
        "controller deployments list --tag etl --health degraded",
        "controller deployments list --sort next --limit 10 -o wide",
    ),
    "deployments show": ("controller deployments show nightly", "controller deployments show nightly -o json"),
    "runs list": (
        "controller runs list --state failed --since yesterday",
        "controller runs list --deployment nightly --limit 5 -o wide",
    ),
    "runs show": ("controller runs show 720dbbc5b6c4", "controller runs show 720dbbc5b6c4 -o json"),
    "runs logs": (
        "controller runs logs 720dbbc5b6c4 --tail 50",
        "controller runs logs 720dbbc5b6c4 --attempt 2 --grep ERROR",
    ),
    "runs cancel": (
        'controller runs cancel 720dbbc5b6c4 --reason "wrong input"',
        "controller runs cancel --deployment nightly --state pending",
    ),
    "runs retry": (
        "controller runs retry 720dbbc5b6c4 --latest --wait",
        "controller runs retry --tag etl --since 2h --yes",
    ),
    "runs watch": ("controller runs watch 720dbbc5b6c4", "controller runs watch 720dbbc5b6c4 -o json"),
    "events": ("controller events --for nightly --limit 20", "controller events --follow"),
    "occurrences": ("controller occurrences nightly --since 7d", "controller occurrences nightly --limit 10 -o json"),
    "next": ("controller next nightly -n 5", 'controller next --cron "0 9 * * mon-fri" --timezone Europe/Berlin'),
    "backfills list": ("controller backfills list", "controller backfills list --deployment nightly -o wide"),
    "backfills show": ("controller backfills show 720dbbc5b6c4", "controller backfills show 720dbbc5b6c4 -o json"),
    "backfills pause": ("controller backfills pause 720dbbc5b6c4", "controller backfills pause 720dbbc5b6c4 -o json"),
    "backfills resume": (
        "controller backfills resume 720dbbc5b6c4",
        "controller backfills resume 720dbbc5b6c4 -o json",
    ),
    "backfills cancel": (
        "controller backfills cancel 720dbbc5b6c4",
        "controller backfills cancel 720dbbc5b6c4 -o json",
    ),
    "login": ("controller login", "controller login --repo /srv/flows"),
    "trigger": ("controller trigger nightly --param days=3 --wait", "controller trigger nightly --logs"),
    "hold": (
        'controller hold nightly --reason "warehouse migration"',
        'controller hold nightly --reason "warehouse migration" --until "tomorrow 06:00"',
    ),
    "resume": ("controller resume nightly", "controller resume nightly -o json"),
    "reconcile": ("controller reconcile", "controller reconcile --wait"),
    "approve": ("controller approve df6aecbf006b", "controller approve df6aecbf006b -o json"),
    "restore": ("controller restore nightly", "controller restore nightly --write"),
    "backfill": (
        "controller backfill nightly --from 2026-06-01 --to 2026-06-30 --dry-run",
        "controller backfill nightly --from yesterday --redo failed --wait",
    ),
    "init": ("controller init", "controller init my-flows"),
    "validate": ("controller validate", "controller validate deployments/nightly.yaml --verbose"),
    "plan": ("controller plan", "controller plan --base origin/main -o markdown"),
    "render": ("controller render nightly", "controller render --environment staging"),
    "explain": ("controller explain UnknownKey", "controller explain"),
    "execute": (
        "controller execute nightly --param days=3",
        "controller execute flows/etl.py:main --param region=eu",
    ),
    "schema": ("controller schema > deployment.schema.json", "controller schema project"),
    "deployment create": (
        "controller deployment create nightly.yaml",
        "controller deployment create specs/nightly.py --replace",
    ),
    "deployment ls": ("controller deployment ls", "controller deployment ls --tag etl"),
    "deployment inspect": ("controller deployment inspect nightly", "controller deployment inspect etl/nightly"),
    "deployment run": ("controller deployment run nightly --wait", "controller deployment run etl/nightly --logs"),
    "deployment execute": (
        "controller deployment execute nightly",
        "controller deployment execute nightly --param days=3",
    ),
    "run": ("controller run", "controller run --repo https://git.example.com/team/flows.git --listen 127.0.0.1:4200"),
    "doctor": ("controller doctor", "controller doctor --max-running 64"),
    "completion": ("source <(controller completion bash)", "controller completion zsh"),
    "version": ("controller version", "controller version -o json"),
}
