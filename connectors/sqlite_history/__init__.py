"""The parts of the embedded history; ``connectors.history_sqlite`` is its front."""
