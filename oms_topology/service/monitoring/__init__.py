"""What is watched while it runs: alerts from measures, the metrics of Prometheus, and rules for them."""
