"""The type checker of the tests: beartype with the numeric tower of PEP 484, where an int may stand for a float.

beartype checks one entry of a list, drawn by chance. Without the tower a list that mixes 0.5 and 2 fails now and then.
"""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
