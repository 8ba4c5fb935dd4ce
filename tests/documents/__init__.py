"""Documents: values, renderings, evidence packs, and what serves them."""
