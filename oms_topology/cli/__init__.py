"""The command line, ``oms-topology``: thin; whatever it does can be done in Python with the same names."""
