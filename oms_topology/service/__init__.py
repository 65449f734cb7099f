"""What runs: the pipeline that takes messages in."""
