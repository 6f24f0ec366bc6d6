"""Known truth to a BIDS study."""
