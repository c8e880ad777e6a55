"""A little site with other ways to store the same deliveries, to compare with."""
