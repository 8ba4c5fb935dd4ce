"""What a worker knows of its meters: flat arrays by partition, checkpoints, episodes of flags."""
