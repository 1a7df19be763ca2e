"""What forges publish of themselves, as packages: fetched once into `.published/`, never copied."""
