"""How good a codec is: metrics, judges, baselines, and a report of them."""
