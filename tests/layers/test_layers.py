"""What follows from a layer's row, on every backend."""

import threading

import numpy as np
import pytest
from cases import LAYERS, Case
from cases.layers.containers import PIXELS
from harness import (
    KEY,
    NO_DX,
    arrays_on,
    compiled_forward,
    context,
    draw,
    fingerprints,
    for_each_shape,
    forward_and_backward,
    host_arrays,
    layer_errors,
    open_backend,
    read_only,
)
from tolerances import GRADIENT, assert_close, assert_same

import xpnn
from xpnn.errors import UsageError
from xpnn.layers.base import is_multiple
from xpnn.parameters import Layout, leaves, tree_map

each = pytest.mark.parametrize("case", LAYERS, ids=str)
each_trainable = pytest.mark.parametrize("case", [c for c in LAYERS if c.layer.differentiable], ids=str)


def assert_same_trees(got, wanted):
    assert [k for k, _ in got] == [k for k, _ in wanted]
    for (name, a), (_, b) in zip(got, wanted, strict=True):
        assert_same(a, b, name)


@each
def test_plan_dtype_and_values_hold_and_inputs_stay(any_be, case):
    be, dtype = any_be, any_be.dtype_name
    x, p, dy = arrays_on(be, case)
    before = fingerprints(be, (x, p, dy))
    y, dx, grads, news = forward_and_backward(be, case.layer)(p, x, dy)
    assert fingerprints(be, (x, p, dy)) == before
    specs, out = case.layer.plan(case.shape)
    assert tree_map(lambda _, a: tuple(a.shape), y) == for_each_shape(lambda shape: (case.batch, *shape), out)
    assert all(a.dtype == be.dtype for _, a in leaves(y))
    assert set(dict(leaves(news))) <= {k for k, s in leaves(specs) if not s.trainable}
    if case.layer.differentiable:
        assert isinstance(dx, tuple) == is_multiple(case.shape)
        dxs = dx if isinstance(dx, tuple) else (dx,)
        shapes = case.shape if isinstance(dx, tuple) else (case.shape,)
        for a, shape, kind in zip(dxs, shapes, case.kinds, strict=True):
            if kind in NO_DX:
                assert a is None
            else:
                assert (tuple(a.shape), a.dtype) == ((case.batch, *shape), be.dtype)
        wanted = {k: s.shape for k, s in leaves(specs) if s.trainable}
        assert {k: tuple(g.shape) for k, g in leaves(grads)} == wanted
        assert all(g.dtype == be.dtype for _, g in leaves(grads))
    one = open_backend("numpy", "float64")
    reference = forward_and_backward(one, case.layer)(*(arrays_on(one, case)[i] for i in (1, 0, 2)))
    for (name, a), (_, b) in zip(
        host_arrays(be, (y, dx, grads)), host_arrays(one, reference[:3]), strict=True
    ):
        assert a.dtype == dtype
        assert_close(a, b, dtype, name)


@each_trainable
def test_gradient_is_the_derivative(be, case, record_property):
    errors = layer_errors(be, case)
    record_property("gradient", max(errors.values(), default=0.0))
    assert max(errors.values(), default=0) <= GRADIENT, errors


@each_trainable
def test_without_dx_the_gradients_are_the_same(be, case):
    x, p, dy = arrays_on(be, case)
    _, dx, grads, _ = forward_and_backward(be, case.layer, need_dx=False)(p, x, dy)
    _, wanted_dx, wanted, _ = forward_and_backward(be, case.layer)(p, x, dy)
    if case.layer.trained:
        assert dx is None
        # XLA may order the sums otherwise once dx is gone; the others run the same lines
        compare = assert_close if be.name == "jax" else lambda a, b, _, name: assert_same(a, b, name)
        for (name, a), (_, b) in zip(host_arrays(be, grads), host_arrays(be, wanted), strict=True):
            compare(a, b, "float64", name)
    else:
        assert not host_arrays(be, grads)
        assert dx is None or [a.shape for _, a in host_arrays(be, dx)] == [
            a.shape for _, a in host_arrays(be, wanted_dx)
        ]


def flipped(be, tree):
    """The samples in reverse order."""
    return tree_map(lambda _, a: be.xp.flip(a, axis=0), tree)


def strided(be, a):
    """Every second element of an array twice as long."""
    return be.asarray(np.repeat(a, 2, axis=-1))[..., ::2]


def fortran(be, a):
    """Axes stored last to first."""
    return be.xp.permute_dims(be.asarray(np.ascontiguousarray(a.T)), tuple(reversed(range(a.ndim))))


def backwards(be, a):
    """A negative stride; torch has none, and flips by copying."""
    if be.name == "torch":
        return be.xp.flip(be.asarray(np.flip(a, -1).copy()), axis=-1)
    return be.asarray(np.flip(a, -1).copy())[..., ::-1]


@each
def test_memory_layout_does_not_matter(be, case):
    x, p, dy = arrays_on(be, case)
    both = forward_and_backward(be, case.layer)
    wanted = host_arrays(be, both(p, x, dy))
    for layout in (strided, fortran, backwards):
        laid_out = lambda _, v, layout=layout: layout(be, np.array(be.to_numpy(v)))  # noqa: E731
        a, c = (tree_map(laid_out, tree) for tree in (x, dy))
        assert_same_trees(host_arrays(be, a), host_arrays(be, x))
        for (name, got), (_, value) in zip(host_arrays(be, both(p, a, c)), wanted, strict=True):
            assert_close(got, value, "float64", f"{name}, {layout.__name__}")


@each_trainable
def test_calls_may_interleave_and_caches_are_not_used_up(be, case):
    """Two forward passes in flight, then their backward passes in the wrong order, the first of them twice."""
    x, p, dy = arrays_on(be, case)
    layer, cx, settings = case.layer, context(be), dict(vars(case.layer))
    other = flipped(be, x)

    def pair(x):
        y, cache = layer.forward(cx, p, x)
        return y, cache, layer.backward(cx, p, cache, dy)

    (y1, _, back1), (y2, _, back2) = pair(x), pair(other)
    serial = host_arrays(be, (y1, *back1)), host_arrays(be, (y2, *back2))
    y1, cache1 = read_only(be, layer.forward(cx, p, x))
    y2, cache2 = read_only(be, layer.forward(cx, p, other))
    kept = fingerprints(be, (cache1, cache2))
    back1, back2 = layer.backward(cx, p, cache1, dy), layer.backward(cx, p, cache2, dy)
    again = layer.backward(cx, p, cache1, dy)
    assert fingerprints(be, (cache1, cache2)) == kept
    assert vars(layer) == settings, "a layer holds no array"
    assert_same_trees(host_arrays(be, (y1, *back1)), serial[0])
    assert_same_trees(host_arrays(be, (y2, *back2)), serial[1])
    assert_same_trees(host_arrays(be, again), host_arrays(be, back1))


@each
def test_threads_give_the_same_bits(be, case):
    x, p, dy = arrays_on(be, case)
    samples = (x, flipped(be, x))
    both = forward_and_backward(be, case.layer)
    serial = [host_arrays(be, both(p, a, dy)) for a in samples]
    got, start = {}, threading.Barrier(4)

    def work(i):
        with be.device_context():
            start.wait()
            got[i] = host_arrays(be, both(p, samples[i % 2], dy))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert_same_trees(got[i], serial[i % 2])


@each
def test_one_row_equals_its_batch(be, case):
    """As in evaluation: while training, Dropout draws a mask for the batch."""
    x, p, _ = arrays_on(be, case)
    forward = compiled_forward(be, case.layer, False)
    whole = host_arrays(be, forward(p, x))
    for i in range(case.batch):
        row = tree_map(lambda _, a, i=i: a[i : i + 1, ...], x)
        for (name, a), (_, b) in zip(host_arrays(be, forward(p, row)), whole, strict=True):
            assert_close(a, b[i : i + 1], "float64", name)


@each
def test_saved_and_loaded_elsewhere_it_is_the_same(be, case, tmp_path):
    model = xpnn.Model([case.layer], case.shape, backend=be.name, dtype="float64", seed=3)
    model.save(tmp_path / "m.safetensors")
    loaded = xpnn.load(tmp_path / "m.safetensors", backend="numpy")
    assert loaded.net == model.net
    for name in ("theta", "phi"):
        assert_same(loaded.snapshot()[name], model.snapshot()[name], name)
    x = draw(case)[0].astype(np.uint8) if case.bytes else draw(case)[0]
    for (name, a), (_, b) in zip(leaves(loaded.forward(x)), leaves(model.forward(x)), strict=True):
        assert_close(a, b, "float64", name)


@each
def test_the_description_survives(case):
    layer = case.layer
    names = {name: getattr(xpnn, name) for name in xpnn.__all__} | vars(xpnn.initializers)
    again = eval(repr(layer), {k: v for k, v in names.items() if isinstance(v, type)})
    assert again == layer
    assert hash(again) == hash(layer)
    assert type(again) is type(layer)
    assert layer != xpnn.Dense(977)


@pytest.mark.parametrize("case", [c for c in LAYERS if not c.layer.differentiable], ids=str)
def test_training_through_a_layer_without_gradient_names_it(be, case):
    x, p, dy = arrays_on(be, case)
    _, cache = case.layer.forward(context(be), p, x)
    path = ".".join(map(str, KEY[1:]))
    with pytest.raises(UsageError, match=f"layer {path} {type(case.layer).__name__} cannot be trained"):
        case.layer.backward(context(be), p, cache, dy)


def test_parameters_cover_the_layout_in_definition_order(be):
    """split and join are inverse to each other, and every value has one place."""
    case = Case(PIXELS, (2, 2, 1), bytes=True)  # a theta, and in phi the mean and gain of Standardize
    layout = Layout(case.layer.plan(case.shape)[0])
    theta, phi = (be.asarray(np.arange(layout.size[k]) + 1.0) for k in ("theta", "phi"))
    tree = layout.split(be, theta, phi)
    assert_same(be.to_numpy(layout.join(be, tree)), be.to_numpy(theta))
    both = np.concatenate([be.to_numpy(a).reshape(-1) for _, a in leaves(tree)])
    assert sorted(both) == sorted([*be.to_numpy(theta), *be.to_numpy(phi)])
    assert tree_map(lambda _, a: tuple(a.shape), tree) == tree_map(lambda _, s: s.shape, layout.specs)
