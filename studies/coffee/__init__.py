"""Synthetic coffee orders, which the prompt of `coffee_orders` learns from too."""
