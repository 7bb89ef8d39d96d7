"""The runner of one attempt on a node of a cluster, fetched from the controller as a package.

`bootstrap` is the command line of a job, `package` lists the files, and `runner` does the work on the node. Its modules
import only the standard library, each other and the supervisor, and run with Python 3.10 or newer.
"""
