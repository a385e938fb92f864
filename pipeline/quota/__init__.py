"""One quota for all who use an endpoint with one key: who may send how much, and when."""
