"""Formats findings as a SARIF 2.1.0 log, which code scanning services and editors read. `cli` calls it.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0". Comments cite its sections.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from controller.cli.formats.explanations import Explanation, as_markdown, as_text, codes, explain
from controller.model.findings import Finding, Severity
from controller.text import visible

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FINGERPRINT = "finding/v1"


def render(findings: Sequence[Finding], *, version: str, information_uri: str | None = None) -> str:
    """Return the log as ASCII JSON, without a newline at the end. `version` is that of the controller.

    File names must be relative to the root of the repository, because services resolve relative URIs against it.
    """
    rules = _rules(findings)
    driver: dict[str, Any] = {"name": "controller", "version": version}
    if information_uri is not None:
        driver["informationUri"] = information_uri
    driver["rules"] = [_rule(code) for code in rules]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": _results(findings, rules),
    }
    log = {"version": "2.1.0", "$schema": _SCHEMA, "runs": [run]}
    # JSON does not escape DEL, but terminals interpret it. It can only occur within a string.
    return json.dumps(log, indent=2).replace("\x7f", "\\u007f")


def _rules(findings: Sequence[Finding]) -> dict[str, int]:
    """Return the index of every documented code and of every other code in the findings."""
    documented = codes()
    undocumented = sorted({finding.code for finding in findings} - set(documented))
    return {code: index for index, code in enumerate((*documented, *undocumented))}


def _rule(code: str) -> dict[str, Any]:
    explanation = explain(code)
    if explanation is None:
        return {"id": visible(code)}
    return {
        "id": code,
        "shortDescription": {"text": f"{explanation.summary[0].upper()}{explanation.summary[1:]}."},
        "fullDescription": {"text": explanation.meaning},
        "help": {"text": _help(explanation), "markdown": as_markdown(explanation)},
        "defaultConfiguration": {"level": _level(explanation.severity)},
    }


def _help(explanation: Explanation) -> str:
    return as_text(explanation).partition("\n\n")[2]


def _level(severity: Severity) -> str:
    return "error" if severity is Severity.ERROR else "warning"


def _results(findings: Sequence[Finding], rules: dict[str, int]) -> list[dict[str, Any]]:
    repetitions: Counter[str] = Counter()
    results = []
    for finding in findings:
        key = _identity(finding)
        results.append(_result(finding, rules[finding.code], f"{key}:{repetitions[key]}"))
        repetitions[key] += 1
    return results


def _result(finding: Finding, rule: int, key: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": visible(finding.code),
        "ruleIndex": rule,
        "level": _level(finding.severity),
        "message": {"text": _message(finding)},
        "locations": [_location(finding)],
        "partialFingerprints": {_FINGERPRINT: hashlib.sha256(key.encode()).hexdigest()[:32]},
    }
    if finding.deployment is not None:
        result["properties"] = {"deployment": visible(finding.deployment)}
    return result


def _location(finding: Finding) -> dict[str, Any]:
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": visible(finding.path)}]}
    if finding.file:
        region = {"startLine": max(finding.line, 1), "startColumn": max(finding.column, 1)}
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(finding.file)}, "region": region}
    return location


def _identity(finding: Finding) -> str:
    """Return a key, in ASCII, that does not change when lines move, messages are reworded or the file is renamed."""
    subject = ["deployment", finding.deployment] if finding.deployment else ["file", finding.file]
    return json.dumps([finding.code, *subject, finding.path])


def _message(finding: Finding) -> str:
    text = (
        visible(finding.message) if not finding.hint else f"{visible(finding.message)}\nhint: {visible(finding.hint)}"
    )
    # 3.11.5: braces are placeholders, doubled braces are braces. 3.11.6: `[text](target)` would become a link.
    return text.replace("{", "{{").replace("}", "}}").replace("](", "\\](") or "?"


def _uri(file: str) -> str:
    # Colons are encoded as well: before the first slash, a colon would end the scheme of the URI.
    path = quote(file, safe="/", errors="backslashreplace")
    return f"file://{path}" if path.startswith("/") else path
