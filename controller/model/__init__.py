"""The words that two or more parts share: deployments, schedules, findings, runs, conditions, events.

Frozen, slotted, keyword-only dataclasses and closed sets, and pure functions of them: which run is next (`queues`), and
what lines of a flow mean (`task_runs`, `artifacts`). Nothing here reads, writes or waits.
"""
