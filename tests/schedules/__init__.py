"""Schedules under test: their real code over ports of a test's choice. No tests in here."""
