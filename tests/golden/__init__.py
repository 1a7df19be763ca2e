"""Golden histories: exported Runs of each codec version, which every later version must replay."""
