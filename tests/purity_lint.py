"""The purity lint: what the syntax tree of a file shows of calls that do not belong in it."""

import ast
import builtins
import inspect

import array_api_strict
import numpy as np

from xpnn.backends.base import Backend
from xpnn.kernels import Kernels

HOST = {
    "asarray",
    "from_host",
    "to_numpy",
    "load",
    "open_device",
    "version",
    "owns",
    "require",
    "device_context",
    "compile",
}
"""What a backend offers outside of a step only: copies between devices, and its own set-up."""
DECLARED = {
    k
    for k in {*dir(Kernels), *vars(Backend)}
    if not k.startswith("_") and callable(inspect.getattr_static(Backend, k))
} - HOST
BUILTINS = {
    "dict",
    "enumerate",
    "isinstance",
    "map",
    "next",
    "range",
    "reversed",
    "slice",
    "super",
    "tuple",
    "type",
    "zip",
}
BUILTINS |= {"NotImplementedError", "any", "len", "str"}
"""Of Python's own functions, those that never ask an array for its value."""
OWN = {
    "bound_rule",
    "check_batch",
    "check_ids",
    "clipping",
    "counts",
    "inputs",
    "joined",
    "keep_mask",
    "normal",
    "n_correct",
    "numbers",
    "part",
    "uniform",
    "valid_mask",
    "vectors",
    "window",
    "forward",
    "backward",
    "update_stats",
    "child",
    "plan",
    "moves",
    "labels",
    "project",
    "append",
    "items",
    "join",
    "update",
}
"""Methods of layers, rules, losses, optimizers, constraints, contexts, lists, dicts and strings."""
FIELDS = {k for k in dir(np.ndarray) if not k.startswith("_")} - {"shape", "ndim", "dtype", "T"}
"""What is not asked of an array itself: only these four are the same for all libraries and cost nothing."""
LIBRARIES = {"torch", "jax", "cupy", "array_api_strict", "array_api_compat", "numba", "tensorflow"}
FORBIDDEN = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "runpy", "code"}
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}


def namespace():
    """The functions, constants and dtypes of the standard's newest edition."""
    return set(array_api_strict.__all__) - {"Device", "linalg", "fft"}


def path_of(node):
    """["cx", "be", "xp", "sum"] for cx.be.xp.sum; a root that is no name becomes ""."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id if isinstance(node, ast.Name) else "", *reversed(parts)]


def after(path, name):
    """What follows `name` in a dotted path, or None."""
    return path[path.index(name) + 1 :] if name in path else None


def annotation(argument):
    return ast.unparse(argument.annotation) if argument.annotation else ""


def step_functions(tree):
    """Functions that take a Backend or a Ctx, as kernels and layers do: what runs inside a step."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(
            annotation(a) in ("Backend", "Ctx") for a in [*node.args.args, *node.args.kwonlyargs]
        ):
            yield node


def impurities(tree, names):
    """(line, what) for everything in the step functions of a file that is not pure Array API."""
    for f in step_functions(tree):
        for node in ast.walk(f):
            what = impurity(node, names)
            if what:
                yield node.lineno, f.name, what


def impurity(node, names):
    if isinstance(node, ast.AugAssign):
        return "works in place"
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        key = node.slice
        known = isinstance(key, ast.Constant) and isinstance(key.value, str)
        return "" if known or ast.unparse(node.value) in ("grads", "state") else "assigns to an item"
    if isinstance(node, ast.Attribute):
        path = path_of(node)
        if path[0] in ("np", "numpy"):
            return "uses NumPy"
        found, declared = after(path, "xp"), after(path, "be")
        if found and (found[0] not in names or len(found) > 1):
            return f"xp.{found[0]} is not in the standard"
        if path[-1] in FIELDS and not (found or declared or path[0] in ("self", "math")):
            return f".{path[-1]} is a field or method of one library's arrays"
        if declared and declared[0] not in DECLARED | {"xp", "dtype", "device", "share", "whole_passes"}:
            return f"be.{declared[0]} is not for use in a step"
    return impure_call(node.func) if isinstance(node, ast.Call) else ""


def impure_call(f):
    if isinstance(f, ast.Name):
        return f"{f.id}() of a value" if hasattr(builtins, f.id) and f.id not in BUILTINS else ""
    if not isinstance(f, ast.Attribute):
        return ""
    path = path_of(f)
    if path[0] in ("math", "self", "np") or "be" in path or "xp" in path or f.attr in OWN:
        return ""
    super_call = isinstance(f.value, ast.Call) and ast.unparse(f.value.func) == "super"
    return "" if super_call else f".{f.attr} is a field or method of one library's arrays"


def foreign(tree):
    """(line, what) for imports and calls that no file outside the backends may have."""
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        for module in modules:
            if module.split(".")[0] in LIBRARIES:
                yield node.lineno, f"imports {module}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "importlib.import_module",
            "import_module",
        ):
            yield node.lineno, "imports by a computed name"


def dangerous(tree):
    """(line, what) for what may run code that data brought along."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                if module.split(".")[0] in FORBIDDEN:
                    yield node.lineno, f"imports {module}"
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS or name in ("np.load", "numpy.load", "os.system", "os.popen"):
                yield node.lineno, f"calls {name}"
            if any(k.arg == "allow_pickle" for k in node.keywords):
                yield node.lineno, "allows pickles"


POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX = {
    "os": {
        "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "WNOHANG", "chown", "chroot", "confstr", "ctermid",
        "fchdir", "fchmod", "fchown", "fork", "forkpty", "geteuid", "getgid", "getgroups", "getloadavg", "getpgid",
        "getpgrp", "getpriority", "getresuid", "getsid", "getuid", "kill", "killpg", "lchown", "mkfifo", "mknod",
        "nice", "openpty", "pathconf", "pipe2", "posix_fadvise", "posix_spawn", "pread", "pwrite",
        "sched_getaffinity", "sched_setaffinity", "sendfile", "setpgid", "setsid", "setuid", "statvfs", "sync",
        "sysconf", "ttyname", "uname", "wait", "wait3", "wait4", "waitpid",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGUSR1", "SIGUSR2",
        "SIGXCPU", "SIGXFSZ", "alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigwait",
    },
    "socket": {"AF_UNIX"},
    "time": {"tzset", "clock_gettime"},
}  # fmt: skip
"""Names that are missing on Windows, or (`kill`) do something else there."""


def only_on_posix(tree):
    """(line, what) for names that Windows does not have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((node.lineno, f"imports {name}") for name in modules if name in POSIX_MODULES)
        if isinstance(node, ast.ImportFrom) and node.module in POSIX:
            names = {alias.name for alias in node.names} & POSIX[node.module]
            yield from ((node.lineno, f"imports {node.module}.{name}") for name in sorted(names))
        if isinstance(node, ast.Attribute):
            path = path_of(node)
            if len(path) == 2 and path[1] in POSIX.get(path[0], ()):
                yield node.lineno, f"uses {'.'.join(path)}"


WRITERS = {"write_text", "write_bytes", "savez", "savez_compressed", "savetxt", "tofile", "to_csv", "saving"}
WRITERS |= {
    "copyfile",
    "copytree",
    "copy2",
    "symlink_to",
    "hardlink_to",
    "rename",
    "touch",
    "urlretrieve",
    "retrieve",
}
"""Methods and functions that make or fill a file, whatever they are called on."""
MOVES = {"replace", "rename", "renames", "link", "symlink", "truncate", "mkfifo", "write"}
"""Of `os`; strings and files have methods of these names too."""


def writes(tree):
    """(line, what) for what puts something on a disk by itself. In memory (a BytesIO by its name) all is allowed."""
    memory = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for targets, values in [pairs(node)]
        for target, value in zip(targets, values, strict=False)
        if isinstance(target, ast.Name) and ast.unparse(value) in ("io.BytesIO()", "BytesIO()")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil", "tempfile"):
            yield node.lineno, f"imports from {node.module}, where the names do not say so"
        if isinstance(node, ast.Import) and any(a.name == "tempfile" for a in node.names):
            yield node.lineno, "imports tempfile"
        if isinstance(node, ast.Call):
            path = path_of(node.func)
            first = node.args[0] if node.args else None
            into_memory = isinstance(first, ast.Name) and first.id in memory
            if path[-1] in WRITERS or (path[0] in ("os", "shutil") and path[-1] in MOVES | {"copy", "move"}):
                yield node.lineno, f"calls {ast.unparse(node.func)}"
            elif path[-1] in ("open", "fdopen") and opens_to_write(node, path):
                yield node.lineno, f"opens by {ast.unparse(node.func)}"
            elif (
                path[-1] in ("save", "savefig", "dump") and not into_memory and path[-2:] != ["model", "save"]
            ):
                yield node.lineno, f"calls {ast.unparse(node.func)} on what may be a path"


def pairs(node):
    """Targets and values of `a = b` and of `a, b = c, d`."""
    both = isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
    return (node.targets[0].elts, node.value.elts) if both else (node.targets, [node.value])


def opens_to_write(node, path):
    """Whether the mode, or with os.open a flag, says so; a computed one may."""
    if path[:2] == ["os", "open"]:
        return any(word in ast.unparse(node) for word in ("WRONLY", "RDWR", "CREAT", "APPEND"))
    places = node.args[1:2] if path == ["open"] or path[0] in ("io", "os", "gzip", "lzma") else node.args[:1]
    modes = places + [k.value for k in node.keywords if k.arg == "mode"]
    said = [ast.literal_eval(mode) for mode in modes if isinstance(mode, ast.Constant)]
    return any(set(str(mode)) & set("wax+") for mode in said)
