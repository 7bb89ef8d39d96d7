"""Explanations of findings about the Python environment of a deployment and its import paths."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

PYTHON = (
    Explanation(
        code="ImportPathMissing",
        summary="an import path that does not exist",
        meaning="The folder does not exist at this revision. git does not store empty directories, so a folder without "
        "a committed file does not exist for the controller.",
        remedy="Correct the path, which is relative to the repository root, or commit a file in the folder.",
        wrong=NIGHTLY + "import_paths: [source]\n",
        right=NIGHTLY + "import_paths: [flows]\n",
    ),
    Explanation(
        code="PythonFileMissing",
        summary="a requirements file, a project or a lock that does not exist",
        meaning="`python` names a requirements file or a project that does not exist at this revision, or a project "
        "without a lock. The controller sees only committed files.",
        remedy="Correct the path, which is relative to the repository root, or commit the file. For a project, run "
        "`uv lock` and commit `uv.lock`.",
        wrong=NIGHTLY + "python: {requirements: requirement.txt}\n",
        right=NIGHTLY + "python: {requirements: [pandas==3.0.1]}\n",
    ),
    Explanation(
        code="InvalidRequirement",
        summary="a requirement or a project file that cannot be read",
        meaning="A line of the requirements is not a requirement as PEP 508 defines it, or `pyproject.toml` or its "
        "lock is not valid TOML, or a dependency group or extra is not declared there. Each of these files "
        "can have 4 MiB.",
        remedy="Correct the line that the message names.",
        wrong=NIGHTLY + "python: {requirements: [pandas=3.0.1]}\n",
        right=NIGHTLY + "python: {requirements: [pandas==3.0.1]}\n",
    ),
    Explanation(
        code="ForbiddenRequirement",
        summary="a requirement that a repository cannot make",
        meaning="The requirements choose a package index, include a file outside of the repository, or name a local "
        "package or one in version control, which would have to be built. The operator decides where packages come "
        "from, and only wheels are installed.",
        remedy="Remove the option and let the operator set `UV_DEFAULT_INDEX` or `UV_INDEX`. Put the folder of local "
        "modules under `import_paths`, or publish a wheel to your index.",
        wrong=NIGHTLY + "python: {requirements: [./lib]}\n",
        right=NIGHTLY + "import_paths: [flows]\n",
    ),
    Explanation(
        code="UnpinnedRequirements",
        summary="requirements that allow more than one version",
        severity=Severity.WARNING,
        meaning="A warning: the controller chooses the versions once, when it first builds the environment, and keeps "
        "them. Another controller, or this one after its state was lost, may choose others.",
        remedy="Pin each version, or commit a requirements file with hashes, or a project with its lock.",
        wrong=NIGHTLY + "python: {requirements: [pandas]}\n",
        right=NIGHTLY + "python: {requirements: [pandas==3.0.1]}\n",
    ),
    Explanation(
        code="RequirementsUnresolvable",
        summary="requirements that no set of versions satisfies",
        meaning="`controller validate --resolve` asked the package index: a package or a version does not exist, has "
        "no wheel for this Python, or two requirements contradict each other. The environment can't be built.",
        remedy="Change the versions that the message names. `uv pip compile` shows the same error.",
    ),
    Explanation(
        code="RequirementsNotChecked",
        summary="requirements that `--resolve` could not check",
        severity=Severity.WARNING,
        meaning="A warning: `controller validate --resolve` can't reach the package index, or this machine does not "
        "have the version of Python. The requirements may be right.",
        remedy="Set `UV_DEFAULT_INDEX` as for the controller, install that Python, or try again later.",
    ),
    Explanation(
        code="LockOutdated",
        summary="a lock that does not match its project",
        meaning="`pyproject.toml` declares a dependency that is not in the lock, or is there with another version "
        "specifier. The controller installs what the lock says, so the flow would not get it.",
        remedy="Run `uv lock`, and commit the lock.",
    ),
    Explanation(
        code="InvalidScriptMetadata",
        summary="invalid inline script metadata in the file of the flow",
        meaning="The block `# /// script` in the file of the flow is not valid as PEP 723 defines it.",
        remedy="Correct the block, or declare the packages under `python`, which takes precedence.",
    ),
    Explanation(
        code="FlowNotChecked",
        summary="a flow that is in no file of the repository",
        severity=Severity.WARNING,
        meaning="A warning: `flow` names a module that the repository does not have. It may be in a package of the "
        "Python environment. The name of the flow and its parameters are checked only when it runs.",
        remedy="Nothing, if a package has the module. Otherwise correct the name, or add the folder of the module to "
        "`import_paths`.",
        wrong="name: nightly\nflow: acme_flows.daily:main\npython: {requirements: [acme-flows==1.4.0]}\n",
        right=NIGHTLY,
    ),
)
