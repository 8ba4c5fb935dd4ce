"""What is put on paper: documents as values, evidence packs, reports."""
