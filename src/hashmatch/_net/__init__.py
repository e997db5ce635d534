"""The one way onto the network: whom it may dial, how it asks, and what it never follows."""
