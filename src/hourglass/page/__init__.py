"""A page on which a browser finds joints by itself: static files, the network, its runtime."""
