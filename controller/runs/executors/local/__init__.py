"""Executes runs on this machine, with one supervisor process per attempt, forked by the fork server or started cold."""
