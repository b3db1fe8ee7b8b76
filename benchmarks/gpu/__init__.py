"""What `ci/gpu` runs on a machine with a GPU: checks first, then measurements, each in a process of its own.

plan.py       the stages and their times        runner.py, child.py   how they are run, and what becomes of them
stages/       a file each                       contenders/, arena.py who is measured, and how they take turns
report.py     the table, from report.json       goals.py, roofline.py what the numbers are held against
rehearsal.py  NumPy in CuPy's place             needs.py              packages, and wheels for those that are missing
"""
