"""A scan in parts, done by several processes or machines, with the result of one."""
