"""HTTP out: the API, the pages for operators, and metrics and health of every process.

``probe`` is light and runs in each process; ``app`` brings FastAPI and NiceGUI along, so only
the ``web`` process imports it.
"""
