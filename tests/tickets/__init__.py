"""Tickets: what a flag becomes, where it is kept, how it is told."""
