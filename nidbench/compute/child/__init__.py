"""What runs in the processes that compute: the worker that methods run in, and the nursery that it is copied from."""
