"""Real servers for the tests: one module a server, each with a class on ``Service``."""
