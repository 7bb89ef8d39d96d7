"""RFC 5545 recurrence rules: the parser, the rule, its expansion to local times, its description in words."""
