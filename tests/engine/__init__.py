"""The engine under test: its real code over ports of a test's choice. No tests in here."""
