"""What others publish as packages, forges above all: fetched once into `.published/`."""
