"""Findings as tests need them: one that is complete, variants of it, and any at all."""

from typing import Any

from hypothesis import strategies as st

from controller.model.findings import Finding, Severity

TEXTS = st.text(st.characters(exclude_categories=()), max_size=40)  # surrogates, controls and bidi marks too
FINDINGS = st.builds(
    Finding,
    code=st.sampled_from(["UnknownKey", "EmptyFile", "PlainSecret"]) | TEXTS,
    message=TEXTS,
    file=TEXTS,
    line=st.integers(0, 10**6),
    column=st.integers(0, 300),
    severity=st.sampled_from(Severity),
    hint=st.none() | TEXTS,
    path=TEXTS,
    deployment=st.none() | TEXTS,
)


def finding(**changes: Any) -> Finding:
    """The finding of a misspelt key, with these fields changed."""
    fields: dict[str, Any] = {
        "code": "UnknownKey",
        "message": "unknown key `schedul`",
        "file": "deployments/nightly.yaml",
        "line": 4,
        "column": 1,
        "hint": "did you mean schedule?",
        "path": "$.schedul",
        "deployment": "nightly",
    }
    return Finding(**{**fields, **changes})
