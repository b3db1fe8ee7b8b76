"""Every number that has a name in xpnn, as docs/constants.md lists them: limits, sizes, thresholds.

python tests/named_numbers.py        writes that page anew: read the difference before you commit it
"""

import ast
import operator
from pathlib import Path

TOP = Path(__file__).parents[1]
PAGE = TOP / "docs" / "constants.md"
HEAD = """# Constants

Every number that has a name in the code: what is allowed, how much is done at a time, where a rule begins. Written by
`python ci/names.py`; a test holds the code to this page, so none changes unnoticed.

| defined in | name | value | meaning |
|---|---|---|---|
"""
FOLDED = {
    ast.LShift: operator.lshift, ast.Pow: operator.pow, ast.Mult: operator.mul, ast.Sub: operator.sub,
    ast.Add: operator.add, ast.Div: operator.truediv,
}  # fmt: skip
NUMBERS = (int, float)


def value_of(node):
    """The number, or tuple of numbers, that is written there; None where it is anything else."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) in NUMBERS else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = value_of(node.operand)
        return None if value is None else -value
    if isinstance(node, ast.BinOp) and type(node.op) in FOLDED:
        left, right = value_of(node.left), value_of(node.right)
        return None if None in (left, right) else FOLDED[type(node.op)](left, right)
    if isinstance(node, ast.Tuple):
        found = tuple(value_of(item) for item in node.elts)
        return None if None in found or not found else found
    return None


def named(source):
    """{name: (number, what its docstring says)} of a module."""
    body, found = ast.parse(source).body, {}
    for node, behind in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        else:
            continue
        text = ""
        if isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant):
            text = " ".join(str(behind.value.value).split())
        several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        pairs = zip(target.elts, value.elts, strict=True) if several else [(target, value)]
        for one, number in pairs:
            if isinstance(one, ast.Name) and one.id.isupper() and (held := value_of(number)) is not None:
                found[one.id] = (held, text)
    return found


def table():
    """{file: {name: (number, what it is)}}, of the files that name any."""
    files = [*sorted((TOP / "xpnn").rglob("*.py"))]
    found = {str(path.relative_to(TOP)): named(path.read_text()) for path in files}
    return {name: numbers for name, numbers in found.items() if numbers}


def shown(value):
    """Powers of two as such."""
    if type(value) is int and value >= 1024 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    return repr(value)


def rows(file, numbers):
    """A line for each number of a file."""
    return [
        f"| `{file}` | `{name}` | {shown(value)} | {text.replace('|', chr(92) + '|')} |\n"
        for name, (value, text) in numbers.items()
    ]


def page():
    return HEAD + "".join(row for file, numbers in table().items() for row in rows(file, numbers))


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{sum(map(len, table().values()))} numbers")
