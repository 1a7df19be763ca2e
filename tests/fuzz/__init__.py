"""Fuzzing of what strangers send: mutations that know what a payload is like, and their judge."""
