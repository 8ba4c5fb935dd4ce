"""The outside: translation between the flow and brokers, databases, files and pages; no policy."""
