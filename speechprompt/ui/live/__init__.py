"""The Live tab: answers while somebody speaks. Door: `tab`."""
