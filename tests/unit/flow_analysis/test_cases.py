"""The static check accepts or refuses each value of the table in `cases`."""

import pytest

from controller.flow_analysis import Flow, check, read_module
from controller.flow_analysis.type_check import check_type
from tests.unit.flow_analysis.cases import CASES, Case


def flow_of(case: Case) -> Flow:
    flow = read_module(case.source()).find("main")
    assert isinstance(flow, Flow)
    return flow


def name_of(case: Case) -> str:
    return f"{case.hint}-{str(case.value)[:30]}-{case.accepted}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_value_is_accepted_or_refused_as_the_table_says(case: Case) -> None:
    flow = flow_of(case)
    assert flow.parameters is not None
    assert check_type(flow.parameters[0].hint, case.value).accepted is case.accepted


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_only_refused_values_have_problems(case: Case) -> None:
    problems = check(flow_of(case), {"value": case.value})
    assert bool(problems) is (case.accepted is False)
    for problem in problems:
        assert problem.path[0] == "value"
        assert problem.message.startswith("value")
        assert problem.message.isprintable()
        assert problem.hint is None or problem.hint.isprintable()


def test_postponed_evaluation_of_annotations_changes_nothing() -> None:
    for case in CASES:
        postponed = Case(
            hint=case.hint,
            value=case.value,
            accepted=case.accepted,
            setup=f"from __future__ import annotations\n{case.setup}",
        )
        assert bool(check(flow_of(postponed), {"value": case.value})) is (case.accepted is False)
