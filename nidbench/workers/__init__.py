"""Many cells at once, by dask.distributed: worker processes of this machine, or those of a running cluster.

    handed     what travels to a worker
    host       what runs there: the cell's function, which holds the truth and supervises the method's process
    leaving    has a worker leave in order when it is told to stop
    cluster    opens clusters: local ones, and running ones by address or file
    engine     hands cells out, and takes them back, whatever becomes of a worker
    remote     asks a worker instead of a process of this machine, to plan a sweep for a cluster

`handed`, `host` and `leaving` are all that a worker imports. Without the extra `workers` nothing else of nidbench needs
dask.
"""
