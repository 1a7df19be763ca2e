"""Figures, measured on real parts: what `make bench` runs. One JSON object a line."""
