"""The kernels as they were, for the speed gate to compare with.

They are frozen on purpose: a copy that imports nothing of ours and stays as it is, whatever becomes
of the library's kernels. Timed in turns with those they make a ratio that does not depend on the
machine, as a number of milliseconds would.

They may be renewed only in a change that makes the library's faster, so that from then on the gate
guards the gain; never to let a slower kernel pass::

    cd src/hashmatch/_kernels
    cp {jit,lanes,linear,signatures,bands,pdq,reduce,strips}.py ../../../benchmarks/frozen/
    cd -
    sed -i 's/hashmatch\\._kernels/benchmarks.frozen/g' benchmarks/frozen/*.py
"""
