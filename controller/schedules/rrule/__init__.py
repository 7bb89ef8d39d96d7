"""RFC 5545 recurrence rules: parsing, interpretation, expansion to local times, and a description in English."""
