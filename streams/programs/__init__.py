"""The composition root: the programs behind the commands, the only place that imports connectors."""
