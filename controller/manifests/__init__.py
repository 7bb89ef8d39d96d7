"""Turns the bytes of manifests into documents, findings and the desired state.

This is the only package that knows YAML and JSON Schema. Data flows from `yaml` through `overlays` (with `merge` and
`project_file`), `schema_validation` (with `schema_messages`) and `build` (with `run_targets`, `field_rules`,
`schedule_fields` and `policy_fields`) to `reader`. The reconciler, the `runs` package and the commands that read
manifests use it. Nothing here reads files, the clock, the environment or the network, and invalid input never raises.
"""
