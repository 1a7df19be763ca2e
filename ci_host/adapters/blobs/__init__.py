"""Blobs: what runners keep beside the bus, read for people."""
