"""What the host keeps in files of its own, beside what is on the bus."""
