"""The REST API: everything that the page and the command line do, and nothing else can do."""
