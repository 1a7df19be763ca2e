"""Scenarios that other engines test themselves with, told in our words and tried on our engine."""
