"""The types that several packages share: deployments, schedules, findings, runs, conditions and events.

They are frozen, slotted, keyword-only dataclasses and enums. The package also has pure functions on them: `queues`
decides which run starts next, and `task_runs` and `artifacts` parse the events of a flow. Nothing here does I/O or
blocks.
"""
