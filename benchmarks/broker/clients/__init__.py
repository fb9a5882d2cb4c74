"""Who sends and consumes: one module for each kind of broker, each in its makers' own library.

They run in processes of their own, those of the peers with an interpreter that has nothing of ours installed: these
import only the standard library, their peer's library and `benchmarks.broker.batch_client`.
"""
