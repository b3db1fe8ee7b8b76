# Sourced by the other scripts: `venv EXTRAS` makes .venv beside this folder and installs xpnn with those extras into it.
# A second call with nothing changed does nothing, and two calls at once wait for each other.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m%s\033[0m\n' "== $*" >&2; }

venv() {
    local extras=$1 python
    python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "xpnn needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1). Set PYTHON=/path/to/python3.11" >&2
        exit 3
    }
    (
        if command -v flock >/dev/null; then flock 9; fi
        if [ ! -x .venv/bin/python ]; then
            say "$python -m venv .venv"
            "$python" -m venv .venv || {
                rm -rf .venv
                echo "cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2
                exit 3
            }
        fi
        local stamp=".venv/installed-${extras:-core}" want
        want=$(cksum pyproject.toml xpnn/__init__.py)
        if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$want" ]; then
            say "pip install -e .${extras:+[$extras]}"
            # Python compiles a module when it is first imported; to compile all of PyTorch and JAX now takes a minute.
            .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".${extras:+[$extras]}"
            printf '%s' "$want" >"$stamp"
        fi
    ) 9>.venv.lock
}
